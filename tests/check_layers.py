#!/usr/bin/env python3
"""Enforces the architecture's rules on the sources: who includes whom, file sizes, bans.

Usage: check_layers.py [ROOT]. Prints one line a violation, `file:line: reason`, and exits 1 if
there is any. The rules are those of ARCHITECTURE.md.
"""

import re
import sys
from pathlib import Path

LAYERS = ("ir", "passes", "frontend", "runtime", "backends", "session", "tools", "tests", "bench", "examples")
SUFFIXES = {".h", ".c", ".cpp", ".inl", ".def"}

# The first rule whose pattern matches a file says what it may include, by path prefix. Files that
# match none (tools, tests, bench, examples) may include everything.
MAY_INCLUDE = (
    (r"ir/base/", ("ir/base/",)),
    (r"ir/", ("ir/",)),
    (r"runtime/", ("runtime/", "ir/base/")),
    (r"frontend/onnx/ops_training", ("frontend/", "ir/", "runtime/", "passes/autodiff")),
    (r"frontend/", ("frontend/", "ir/", "runtime/")),
    (r"passes/", ("passes/", "ir/")),
    (r"backends/compile", ("backends/", "passes/", "ir/", "runtime/")),
    (r"backends/", ("backends/", "ir/", "runtime/")),
    (r"session/", ("session/", "frontend/", "backends/compile", "ir/", "runtime/")),
)
LLVM_HEADER = re.compile(r"(llvm|llvm-c|lld|clang)/")
MAY_INCLUDE_LLVM = "backends/llvm/"

SOFT_LINES, HARD_LINES = 400, 800

# (pattern, where it is allowed as a pattern on paths, reason); applied to code without comments.
BANNED_CODE = (
    (re.compile(r"\b(secure_)?getenv\b|\benviron\b"), r"runtime/options\.cpp|tests/",
     "reads the environment; only runtime/options.cpp may"),
    (re.compile(r"\bcase\s+(lathe::)?OpId::"), r"ir/ops/",
     "switches over ops; what is true of one op belongs into its record in ir/ops"),
)
BANNED_TEXT = re.compile(r"\b(TODO|FIXME|XXX)\b")
BANNED_NAMES = re.compile(r"(^|/)(utils?|helpers?|misc)\.(h|c|cpp|inl)$")

LABEL = re.compile(r"//\s*\[([a-z0-9_]+(?:-[a-z0-9_]+)*-\d+)\]")

COMMENT_OR_LITERAL = re.compile(
    r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])*'", re.DOTALL)


def code_only(text):
    """The text with comments and literals blanked out, lines kept."""
    return COMMENT_OR_LITERAL.sub(lambda m: "\n" * m.group().count("\n"), text)


def numbered(text):
    return enumerate(text.splitlines(), start=1)


def include_violations(path, text):
    allowed = next((prefixes for rule, prefixes in MAY_INCLUDE if re.match(rule, path)), None)
    for number, line in numbered(text):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)', line)
        if not match:
            continue
        quote, header = match.groups()
        if LLVM_HEADER.match(header) and not path.startswith(MAY_INCLUDE_LLVM):
            yield number, f"includes {header}; only {MAY_INCLUDE_LLVM} may include LLVM"
        elif quote == '"' and header.startswith((".", "/")):
            yield number, f'includes "{header}"; includes start at the root of the repository'
        elif allowed and header.split("/")[0] in LAYERS and not header.startswith(allowed):
            yield number, f"includes {header}; allowed here: {', '.join(allowed)}"


def ban_violations(path, text):
    if BANNED_NAMES.search(path):
        yield 1, "a file is named after what it holds, not after its usefulness"
    for number, line in numbered(text):
        if match := BANNED_TEXT.search(line):
            yield number, f"{match.group()}: an issue keeps what is left to do, not the source"
    for number, line in numbered(code_only(text)):
        for pattern, exempt, reason in BANNED_CODE:
            if pattern.search(line) and not re.match(exempt, path):
                yield number, reason


def size_violations(path, text):
    lines = text.count("\n")
    if lines > HARD_LINES:
        yield lines, f"{lines} lines; the limit is {HARD_LINES}"
    elif lines > SOFT_LINES:
        print(f"note: {path} has {lines} lines; {SOFT_LINES} are enough for most")


def label_violations(path, text, root):
    """Each labelled constraint of an op is refused by a test of the same name."""
    rejects = root / "tests" / "reject"
    if not (re.match(r"ir/ops/.*\.cpp$", path) and rejects.is_dir()):
        return
    for number, line in numbered(text):
        for label in LABEL.findall(line):
            if not (rejects / f"{label}.gir").is_file():
                yield number, f"[{label}] has no tests/reject/{label}.gir"


def sources(root):
    for layer in LAYERS:
        for path in sorted((root / layer).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES:
                yield path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent)
    files = violations = 0
    for path, text in sources(root):
        files += 1
        for check in (include_violations, ban_violations, size_violations):
            for number, reason in check(path, text):
                print(f"{path}:{number}: {reason}")
                violations += 1
        for number, reason in label_violations(path, text, root):
            print(f"{path}:{number}: {reason}")
            violations += 1
    print(f"{files} files, {violations} violations")
    return 1 if violations or not files else 0


if __name__ == "__main__":
    sys.exit(main())
