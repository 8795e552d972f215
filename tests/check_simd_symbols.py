#!/usr/bin/env python3
"""No function built with one ISA's flags may escape from backends/simd/arch_*.cpp.

The linker keeps one copy of each inline function of the program. If it were the copy built for
AVX-512, older CPUs would meet illegal instructions anywhere. So these object files may define
their table function and nothing else that other files could define too. And what must be fused
is checked for every ISA, also for those that the testing machine cannot run.

Usage: check_simd_symbols.py OBJECT...
"""
import re
import subprocess
import sys


def escaped(path):
    listing = subprocess.run(["nm", "-C", "--defined-only", path], check=True,
                             capture_output=True, text=True).stdout
    for line in listing.splitlines():
        kind, name = line.split(maxsplit=2)[1:]
        if kind == "T" and re.fullmatch(r"lathe::simd::table_\w+\(\)", name):
            continue
        if kind in "TWi":  # functions others can see: global, weak, indirect
            yield name


def unfused(path):
    """The register tiles of floats of FMA machines that do not multiply and add in one instruction."""
    if "sse42" in path:
        return
    code = subprocess.run(["objdump", "-dC", "--no-show-raw-insn", path], check=True,
                          capture_output=True, text=True).stdout
    tiles = [f for f in code.split("\n\n") if "gemm_tile<float" in f.partition("\n")[0]]
    if not tiles:
        yield "no register tile found"
    for tile in tiles:
        if "vfmadd" not in tile or "vmulps" in tile:
            yield "not fused: " + tile.partition("\n")[0]


def main():
    objects = [path for path in sys.argv[1:] if re.search(r"/simd/arch_\w+\.cpp\.o$", path)]
    if len(objects) < 3:
        sys.exit(f"expected the objects of three ISAs, found {objects}")
    found = [f"{path}: {name}" for path in objects for name in escaped(path)]
    found += [f"{path}: {what}" for path in objects for what in unfused(path)]
    print("\n".join(found) or f"{len(objects)} objects, no function escapes, products are fused")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
