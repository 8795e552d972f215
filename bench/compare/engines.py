"""How each engine is set up and asked. Every answer comes from a process of its own, which checks its
result before it measures: engines in one process disturb each other's threads."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from set_up import CACHE

HERE = Path(__file__).resolve().parent

# How far an answer may be from PyTorch's: probabilities, absolutely; losses of the first five steps,
# relatively (Adam makes steps of equal size from gradients that differ in rounding).
ANSWER_TOLERANCE, LOSS_TOLERANCE = 1e-5, 1e-4


class Failure(Exception):
    """Something that the user of this tool has to know and mend."""


def environment(threads):
    """Without settings of OpenBLAS, which would make it slower than it is by itself."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPENBLAS_", "GOMP_", "OMP_"))}
    return kept | {"OMP_NUM_THREADS": str(threads), "NODE_PATH": str(CACHE / "node_modules")}


def ask(command, threads, more=None):
    """The lines of JSON that a process prints; `more` is added to its environment."""
    try:
        done = subprocess.run([str(c) for c in command], env=environment(threads) | (more or {}), text=True,
                              capture_output=True, check=True)
    except FileNotFoundError as error:
        raise Failure(f"{error.filename} is missing; --set-up installs the engines, and Lathe is "
                      "built with: cmake --preset release && cmake --build build") from None
    except subprocess.CalledProcessError as error:
        raise Failure(f"{' '.join(map(str, command))}\n{error.stderr.strip()}\n"
                      "(--set-up installs what is missing of the engines)") from None
    return [json.loads(line) for line in done.stdout.splitlines()]


def relative_error(got, expected):
    return max(abs(a / b - 1) for a, b in zip(got, expected, strict=True))


class Networks:
    """Asks engines about a network row."""

    def __init__(self, row, options):
        self.row, self.seconds, self.threads = row, options.seconds, options.threads
        self.lathe = options.build / "bin" / "lathe"
        self.folder = CACHE / "models" / row.name

    def prepare(self):
        """Weights, inputs and what they must give, written by PyTorch; Lathe's answer is compared."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._torch("prepare")
        if self.row.train:
            losses = self._lathe_step("--min-time", 0)["losses"]
            self._compare("lathe", relative_error(losses, self._first_losses()))
        else:
            answer = self.folder / "lathe.npz"
            self._lathe("run", "-o", answer)
            (got,) = np.load(answer).values()
            self._compare("lathe", float(np.abs(got - np.load(self.folder / "y.npy")).max()))

    def measure(self, engine):
        """{case: milliseconds}"""
        if engine == "lathe":
            result, error = self._measure_lathe()
        else:
            (result,) = (self._torch("measure", self.seconds) if engine == "torch" else
                         ask(["node", HERE / "ort_engine.js", self.threads, self.folder,
                              self.seconds], self.threads))
            error = result["error"]
        self._compare(engine, error)
        return {self.row.title: result["median_ms"]}

    def _compare(self, engine, error):
        limit = LOSS_TOLERANCE if self.row.train else ANSWER_TOLERANCE
        if not error <= limit:
            raise Failure(f"{self.row.name}: {engine} differs from PyTorch by {error:.3g}, more than "
                          f"{limit:g}; nothing was measured")

    def _torch(self, what, *more):
        return ask([sys.executable, HERE / "torch_engine.py", what, self.row.network, self.row.batch,
                    self.row.kind, self.folder, *more], self.threads)

    def _lathe(self, verb, *more):
        task = json.loads((self.folder / "lathe.json").read_text())
        if "weights" in task:
            more = ("--weights", self.folder / task["weights"], *more)
        if self.row.train and task["loss"]:
            more = ("--loss", task["loss"], *more)
        return ask([self.lathe, verb, self.folder / task["model"], "--json", "--threads", self.threads,
                    "--input", f"x={self.folder}/x.npy", *more], self.threads)[0]

    def _lathe_step(self, *more):
        return self._lathe("bench", "--train", "--input", f"target={self.folder}/target.npy", *more)

    def _first_losses(self):
        return json.loads((self.folder / "losses.json").read_text())

    def _measure_lathe(self):
        """Its result and how far it is from PyTorch's, where this run tells."""
        time = ("--min-time", self.seconds)
        if not self.row.train:
            return self._lathe("bench", *time), 0.0
        # With a rate of 0, as torch_engine.py does and says why.
        result = self._lathe_step("--input", f"learning_rate={self.folder}/rest.npy", *time)
        losses = result["losses"]
        return result, relative_error(losses, self._first_losses()[:1] * len(losses))


class Programs:
    """Asks the programs of a subject about all its cases; they check every result."""

    def __init__(self, row, options):
        self.row, self.bin = row, options.build / "bin"
        self.seconds = options.seconds / 10  # of each case

    def prepare(self):
        programs = [self.bin / f"{self.row.subject}_{engine}" for engine in ("lathe", *self.row.engines)]
        need_programs(programs)

    def measure(self, engine):
        return {r["case"]: r["ms"] for r in ask(
            [self.bin / f"{self.row.subject}_{engine}", self.row.threads, self.seconds], self.row.threads)}


class Shares:
    """Asks a program that measures Lathe, its bound and perhaps another engine at once."""

    def __init__(self, row, options):
        self.row, self.program, self.seconds = row, options.build / "bin" / row.program, options.seconds / 4

    def prepare(self):
        need_programs([self.program])

    def measure(self, engine):
        if engine == "lathe":
            isa = {"LATHE_ISA": self.row.isa} if self.row.isa else {}
            self.answers = ask([self.program, self.row.what, self.row.threads, self.seconds],
                               self.row.threads, isa)
        key = "ms" if engine == "lathe" else f"{engine}_ms"
        try:
            return {r["case"]: r[key] for r in self.answers}
        except KeyError:
            raise Failure(f"{self.program.name} knows no {key}: the CPU lacks the instructions, or the engine "
                          "was not installed when it was built") from None


def need_programs(programs):
    for program in programs:
        if not program.exists():
            raise Failure(f"{program} is missing; install the engines with --set-up, then: "
                          "cmake --preset release -DLATHE_COMPARE=ON && cmake --build build")
