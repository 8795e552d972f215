"""PyTorch's process: writes a row's files, or measures it.

  torch_engine.py prepare NETWORK BATCH train|infer FOLDER
      lathe.json (which files it reads), model.json and weights.safetensors or trained.onnx, x.npy, target.npy,
      rest.npy for Lathe, model.onnx and x_ort.npy for ONNX Runtime, and what they must answer: y.npy,
      losses.json
  torch_engine.py measure NETWORK BATCH train|infer FOLDER SECONDS
      checks its own answer with that, measures and prints one JSON object
"""
import json
import math
import os
import statistics
import struct
import sys
import time

import numpy as np
import torch

from networks import NETWORKS

STEPS = 5
KERAS_EPSILON = 1e-7


def seeded(network, batch):
    torch.manual_seed(0)
    return network.module(), network.inputs(batch), network.targets(batch)


def answer(network, module, x):
    with torch.no_grad():
        return network.answers(module).eval()(x)


def step(network, module, optimizer, x, target):
    optimizer.zero_grad(set_to_none=True)
    loss = network.loss(module(x), target)
    loss.backward()
    optimizer.step()
    return loss


def first_losses(network, module, x, target):
    """Of the first steps with Keras' Adam: it adds epsilon to the root of the uncorrected moment, so
    PyTorch's, which corrects first, needs another epsilon in each step."""
    parameters = [p for name, p in module.named_parameters() if name not in network.frozen]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    losses = []
    for i in range(1, STEPS + 1):
        optimizer.param_groups[0]["eps"] = KERAS_EPSILON / math.sqrt(1 - 0.999**i)
        losses.append(float(step(network, module, optimizer, x, target)))
    return losses


def adam_at_rest(module):
    """Adam in its fastest form for CPUs in this version. With a rate of 0 it does all its work, but the
    network does not learn its one batch by heart, after which gradients would be subnormal numbers and
    steps several times slower."""
    try:
        return torch.optim.Adam(module.parameters(), lr=0, fused=True)
    except (RuntimeError, TypeError):
        return torch.optim.Adam(module.parameters(), lr=0, foreach=True)


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        array = np.ascontiguousarray(tensor.detach().numpy(), dtype=np.float32)
        header[name] = {"dtype": "F32", "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def prepare(network, batch, train, folder):
    module, x, target = seeded(network, batch)
    lathe = {"model": "model.json", "loss": network.lathe_loss}
    if network.keras is None:
        lathe["model"] = "trained.onnx"
        torch.onnx.export(module, x, f"{folder}/trained.onnx", opset_version=17, input_names=["x"],
                          output_names=["y"], do_constant_folding=False,
                          training=torch.onnx.TrainingMode.TRAINING)
    else:
        with open(f"{folder}/model.json", "w") as file:
            json.dump(network.keras, file)
        lathe["weights"] = "weights.safetensors"
        write_safetensors(f"{folder}/weights.safetensors", network.weights(module))
    with open(f"{folder}/lathe.json", "w") as file:
        json.dump(lathe, file)
    for_lathe = network.to_lathe(x).contiguous().numpy()
    np.save(f"{folder}/x.npy", for_lathe if for_lathe.dtype == np.float32 else for_lathe.astype(np.int32))
    np.save(f"{folder}/x_ort.npy", x.numpy())
    np.save(f"{folder}/target.npy", target.numpy())
    np.save(f"{folder}/rest.npy", np.float32(0))
    np.save(f"{folder}/y.npy", answer(network, module, x).numpy())
    if train:
        with open(f"{folder}/losses.json", "w") as file:
            json.dump(first_losses(network, module, x, target), file)
    else:
        newer = {"dynamo": False} if torch.__version__ >= "2.5" else {}
        torch.onnx.export(network.answers(module).eval(), x, f"{folder}/model.onnx", opset_version=17,
                          input_names=["x"], output_names=["y"], do_constant_folding=True, **newer)
        with open(f"{folder}/ort.json", "w") as file:
            json.dump({"model": "model.onnx", "inputs": {"x": "x_ort.npy"}, "outputs": {"y": "y.npy"}}, file)


def timed(run, seconds):
    for _ in range(3):
        run()
    times, start = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return {"median_ms": 1e3 * statistics.median(times), "runs": len(times)}


def measure(network, batch, train, folder, seconds):
    module, x, target = seeded(network, batch)
    if train:
        with open(f"{folder}/losses.json") as file:
            expected = json.load(file)
        optimizer = adam_at_rest(module.train())
        error = abs(float(step(network, module, optimizer, x, target)) / expected[0] - 1)
        result = timed(lambda: step(network, module, optimizer, x, target), seconds)
    else:
        error = float(np.abs(answer(network, module, x).numpy() - np.load(f"{folder}/y.npy")).max())
        answers = network.answers(module).eval()
        with torch.no_grad():
            result = timed(lambda: answers(x), seconds)
    print(json.dumps(result | {"error": error, "version": torch.__version__}))


def main():
    what, name, batch, kind, folder, *seconds = sys.argv[1:]
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    arguments = (NETWORKS[name], int(batch), kind == "train", folder)
    if what == "prepare":
        prepare(*arguments)
    else:
        measure(*arguments, float(seconds[0]))


main()
