"""ONNX models as they stand, in Lathe and ONNX Runtime. Expected outputs are PyTorch's for the models of
../shared/anchors, those that came with the file for the real ones."""
import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
from onnx import numpy_helper

import engines
import set_up

SHARED = engines.HERE.parent.parent.parent / "shared"
ANCHORS = set_up.CACHE / "anchors"

# Of |answer - expected| / (1 + |expected|): what two correct engines may differ by.
TOLERANCE = 1e-3


def anchor(name):
    """(model file, inputs, outputs); writes all anchor models at the first call."""
    if not (ANCHORS / f"{name}.npz").exists():
        print(f"writing the anchor models into {ANCHORS}", flush=True)
        subprocess.run([sys.executable, SHARED / "anchors" / "models.py", ANCHORS], check=True,
                       stdout=subprocess.DEVNULL)
    values = np.load(ANCHORS / f"{name}.npz")
    return ANCHORS / f"{name}.onnx", {"x": values["x"]}, {"y": values["y"]}


def tensor(file):
    return numpy_helper.to_array(onnx.load_tensor(str(file)))


def real(folder):
    """(model file, inputs, outputs) of the first data set."""
    graph = onnx.load(str(folder / "model.onnx"), load_external_data=False).graph
    constants = {t.name for t in graph.initializer}
    data = folder / "test_data_set_0"
    inputs = [v.name for v in graph.input if v.name not in constants]
    return (folder / "model.onnx",
            {name: tensor(data / f"input_{k}.pb") for k, name in enumerate(inputs)
             if (data / f"input_{k}.pb").exists()},
            {v.name: tensor(data / f"output_{k}.pb") for k, v in enumerate(graph.output)})


def found(source):
    """(model file, inputs, outputs) of a row's source."""
    where, name = source.rsplit("/", 1)
    if not SHARED.is_dir():
        raise engines.Failure(f"{SHARED} is missing: it holds the models of this row")
    return anchor(name) if where == "anchors" else real(SHARED / where / name)


class OnnxModels:
    """Asks the engines about an OnnxRow."""

    def __init__(self, row, options):
        self.row, self.seconds, self.threads = row, options.seconds, options.threads
        self.lathe = options.build / "bin" / "lathe"
        self.folder = set_up.CACHE / "models" / row.name

    def prepare(self):
        self.model, inputs, outputs = found(self.row.source)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.inputs = self._save("input", inputs)
        task = {"model": str(self.model), "inputs": self.inputs, "outputs": self._save("output", outputs)}
        (self.folder / "ort.json").write_text(json.dumps(task))
        self._lathe("run", "-o", self.folder / "lathe.npz")
        answer = np.load(self.folder / "lathe.npz")
        self._compare("lathe", max(float(np.max(np.abs(answer[n].astype(float) - v) / (1 + np.abs(v)),
                                                initial=0)) for n, v in outputs.items()))

    def measure(self, engine):
        """{case: milliseconds}"""
        if engine in ("lathe", "simd"):
            result = self._lathe("bench", "--min-time", self.seconds, "--backend",
                                 "auto" if engine == "lathe" else engine)
        else:
            (result,) = engines.ask(["node", engines.HERE / "ort_engine.js", self.threads, self.folder,
                                     self.seconds], self.threads)
            self._compare(engine, result["error"])
        return {self.row.title: result["median_ms"]}

    def _save(self, kind, tensors):
        files = {name: f"{kind}_{k}.npy" for k, name in enumerate(tensors)}
        for name, file in files.items():
            np.save(self.folder / file, tensors[name])
        return files

    def _lathe(self, verb, *more):
        given = [word for name, file in self.inputs.items()
                 for word in ("--input", f"{name}={self.folder / file}")]
        return engines.ask([self.lathe, verb, self.model, "--json", "--threads", self.threads, *given,
                            *more], self.threads)[0]

    def _compare(self, engine, error):
        if not error <= TOLERANCE:
            raise engines.Failure(f"{self.row.name}: {engine} differs from the expected outputs by "
                                  f"{error:.3g}, more than {TOLERANCE:g}; nothing was measured")
