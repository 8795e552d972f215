#!/usr/bin/env python3
"""Tests check_layers.py on a small tree in which every rule is broken once, and kept once."""

import subprocess
import sys
import tempfile
from pathlib import Path

FILES = {
    "ir/base/error.h": "#pragma once\n",
    "ir/graph.cpp": '#include "ir/base/error.h"\n#include "runtime/cpu.h"\n',
    "ir/ops/view.cpp": "// [concat-1] ranks agree\n// [concat-2] so do types\ncase OpId::add:\n",
    "runtime/pool.cpp": '// getenv\n#include "ir/graph.h"\nauto s = "getenv", t = getenv("X");\n',
    "runtime/options.cpp": 'auto s = getenv("X");\n',
    "passes/fuse.cpp": "#include <llvm/IR/Module.h>\nswitch (op) {\n  case OpId::add: break;\n}\n",
    "backends/select.cpp": '#include "passes/fuse.h"\n',
    "backends/compile.cpp": '#include "passes/fuse.h"\n#include "../ir/graph.h"\n',
    "backends/llvm/jit.cpp": "#include <llvm/IR/Module.h>\n",
    "tools/utils.cpp": '#include "passes/fuse.h"\n// TO' "DO: all\n",
    "bench/long.cpp": "\n" * 801,
    "tests/reject/concat-1.gir": "",
}
EXPECTED = {
    "ir/graph.cpp:2",
    "ir/ops/view.cpp:2",
    "runtime/pool.cpp:2",
    "runtime/pool.cpp:3",
    "passes/fuse.cpp:1",
    "passes/fuse.cpp:3",
    "backends/select.cpp:1",
    "backends/compile.cpp:2",
    "tools/utils.cpp:1",
    "tools/utils.cpp:2",
    "bench/long.cpp:801",
}


def check(root):
    script = Path(__file__).with_name("check_layers.py")
    return subprocess.run([sys.executable, script, root], capture_output=True, text=True)


with tempfile.TemporaryDirectory() as root:
    assert check(root).returncode == 1, "a tree without sources must fail"
    for name, text in FILES.items():
        path = Path(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    result = check(root)
    found = {":".join(line.split(":")[:2]) for line in result.stdout.splitlines()[:-1]}
    assert found == EXPECTED, f"missing {EXPECTED - found}, unexpected {found - EXPECTED}"
    assert result.returncode == 1, result
