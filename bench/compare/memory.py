"""What runs of ONNX models take beyond weights, inputs and outputs."""
import re
import subprocess

import engines
import onnx_models


class Memory:
    """Asks about a MemoryRow: bytes instead of milliseconds."""

    def __init__(self, row, options):
        self.row, self.bin = row, options.build / "bin"
        self.models = onnx_models.OnnxModels(row, options)

    def prepare(self):
        engines.need_programs([self.bin / "memory_lathe"])
        self.models.prepare()

    def measure(self, engine):
        return {self.row.title: {"lathe": self._printed, "measured": self._measured,
                                 "ort": self._arena}[engine]()}

    def _printed(self):
        """The figures of the program's own text: what all threads share, and what each has."""
        text = subprocess.run([self.bin / "lathe", "inspect", self.models.model, "--stage", "program"],
                              capture_output=True, text=True, check=True).stdout
        shared, each = (re.search(rf"^  {kind} (\d+) bytes$", text, re.M) for kind in ("arena", "local"))
        return int(shared[1]) + (self.row.threads * int(each[1]) if each else 0)

    def _measured(self):
        (result,) = engines.ask([self.bin / "memory_lathe", self.models.model, self.row.threads],
                                self.row.threads)
        return result["bytes"]

    def _arena(self):
        """What the arena has grown by in three runs; weights are reserved apart from it."""
        done = subprocess.run(["node", engines.HERE / "ort_engine.js", str(self.row.threads),
                               self.models.folder, "0", "verbose"], capture_output=True, text=True,
                              env=engines.environment(self.row.threads), check=True)
        return sum(map(int, re.findall(r"Extended allocation by (\d+) bytes", done.stdout + done.stderr)))
