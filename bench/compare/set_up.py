"""Installs the engines that Lathe is compared with."""
import os
import shutil
import subprocess
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lathe-bench"
DEBIAN = ("python3-torch", "python3-onnx", "python3-numpy", "libopenblas0-openmp",
          "libopenblas-openmp-dev", "libdnnl-dev", "libsleef-dev")
PROGRAMS = {"node": "nodejs", "npm": "npm"}  # which others than Debian's may have brought


def install():
    """Installs the engines: Debian's packages where they are missing, ONNX Runtime into the cache."""
    missing = [p for p in DEBIAN
               if subprocess.run(["dpkg", "-s", p], capture_output=True).returncode != 0]
    missing += [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if missing:
        print("installing Debian's", *missing, flush=True)
        root = [] if os.geteuid() == 0 else ["sudo"]
        subprocess.run([*root, "apt-get", "install", "-y", "--no-install-recommends", *missing],
                       check=True)
    print(f"installing onnxruntime-node into {CACHE}", flush=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "install", "onnxruntime-node", "--ignore-scripts", "--prefix", CACHE],
                   check=True)
