"""The networks that are compared: as PyTorch modules, as Keras configurations, and which weight of
the one is which of the other. Imported in processes of PyTorch only."""
import importlib.util
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

import torch
from torch import nn
from torch.nn import functional as F

VOCABULARY, LENGTH = 10000, 100
CHARACTERS, TEXT = 65, 128


class LstmClassifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 128)
        self.lstm = nn.LSTM(128, 128, batch_first=True)
        self.lstm_1 = nn.LSTM(128, 64, batch_first=True)
        self.dense = nn.Linear(64, 1)
        for lstm in (self.lstm, self.lstm_1):  # Keras has one bias where PyTorch adds two
            nn.init.zeros_(lstm.bias_hh_l0)

    def forward(self, tokens):
        h, _ = self.lstm(self.embedding(tokens))
        h, _ = self.lstm_1(h)
        return torch.sigmoid(self.dense(h[:, -1]))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense, self.dense_1, self.dense_2 = nn.Linear(784, 512), nn.Linear(512, 512), nn.Linear(512, 10)

    def forward(self, x):
        return self.dense_2(F.relu(self.dense_1(F.relu(self.dense(x)))))


class Cnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv2d, self.conv2d_1 = nn.Conv2d(1, 32, 3, padding=1), nn.Conv2d(32, 64, 3, padding=1)
        self.dense, self.dense_1 = nn.Linear(64 * 49, 128), nn.Linear(128, 10)

    def forward(self, x):
        h = F.max_pool2d(F.relu(self.conv2d(x)), 2)
        h = F.max_pool2d(F.relu(self.conv2d_1(h)), 2)
        return self.dense_1(F.relu(self.dense(h.flatten(1))))


class Probabilities(nn.Module):
    """What the classifiers over ten classes answer; they are trained on their logits."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def forward(self, x):
        return torch.softmax(self.logits(x), -1)


def layer(class_name, **config):
    return {"module": "keras.layers", "class_name": class_name, "config": config}


def sequential(name, shape, dtype, *layers):
    first = layer("InputLayer", name="x", batch_shape=[None, *shape], dtype=dtype)
    return {"module": "keras", "class_name": "Sequential",
            "config": {"name": name, "layers": [first, *layers]}}


def dense(name, linear):
    return {f"{name}/kernel": linear.weight.t(), f"{name}/bias": linear.bias}


def lstm(name, cell):
    return {f"{name}/kernel": cell.weight_ih_l0.t(), f"{name}/recurrent_kernel": cell.weight_hh_l0.t(),
            f"{name}/bias": cell.bias_ih_l0}


def conv(name, module):
    return {f"{name}/kernel": module.weight.permute(2, 3, 1, 0), f"{name}/bias": module.bias}


def cnn_weights(m):
    flat = m.dense.weight.view(128, 64, 7, 7).permute(2, 3, 1, 0).reshape(64 * 49, 128)
    return (conv("conv2d", m.conv2d) | conv("conv2d_1", m.conv2d_1) | dense("dense_1", m.dense_1) |
            {"dense/kernel": flat, "dense/bias": m.dense.bias})


@dataclass
class Network:
    module: Callable   # () -> what is trained
    answers: Callable  # module -> module whose result a user sees
    keras: Optional[dict]         # None: Lathe reads the module as ONNX
    weights: Optional[Callable]   # module -> {Lathe's name: tensor}
    inputs: Callable   # batch -> tensor
    targets: Callable  # batch -> tensor
    loss: Callable     # (the module's result, targets) -> scalar
    lathe_loss: str = ""          # where it is not what Lathe would choose
    to_lathe: Callable = lambda x: x  # inputs in the layout of the Keras configuration
    frozen: tuple = ()                # parameters that Keras' network lacks


def transformer():
    """The anchors' small GPT; its file makes a folder of its first argument when it is imported."""
    path = Path(__file__).resolve().parents[3] / "shared" / "anchors" / "models.py"
    spec = importlib.util.spec_from_file_location("anchor_models", path)
    module = importlib.util.module_from_spec(spec)
    given = sys.argv
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = [str(path), folder]
        spec.loader.exec_module(module)
    sys.argv = given
    torch.manual_seed(0)
    return module.Transformer(CHARACTERS, 128, 4, 4, TEXT, True)


NETWORKS = {
    "gpt": Network(
        module=transformer,
        answers=lambda m: m,
        keras=None,
        weights=None,
        inputs=lambda batch: torch.randint(0, CHARACTERS, (batch, TEXT)),
        targets=lambda batch: torch.randint(0, CHARACTERS, (batch, TEXT)),
        loss=lambda y, t: F.cross_entropy(y.reshape(-1, CHARACTERS), t.reshape(-1)),
        lathe_loss="sparse_categorical_crossentropy_from_logits"),
    "lstm": Network(
        module=LstmClassifier,
        answers=lambda m: m,
        keras=sequential(
            "lstm", [None], "int32",
            layer("Embedding", name="embedding", input_dim=VOCABULARY, output_dim=128),
            layer("LSTM", name="lstm", units=128, return_sequences=True),
            layer("LSTM", name="lstm_1", units=64),
            layer("Dense", name="dense", units=1, activation="sigmoid")),
        weights=lambda m: {"embedding/embeddings": m.embedding.weight} | lstm("lstm", m.lstm) |
                          lstm("lstm_1", m.lstm_1) | dense("dense", m.dense),
        inputs=lambda batch: torch.randint(0, VOCABULARY, (batch, LENGTH)),
        targets=lambda batch: torch.randint(0, 2, (batch, 1)).float(),
        loss=F.binary_cross_entropy,
        frozen=("lstm.bias_hh_l0", "lstm_1.bias_hh_l0")),
    "mlp": Network(
        module=Mlp,
        answers=Probabilities,
        keras=sequential(
            "mlp", [784], "float32",
            layer("Dense", name="dense", units=512, activation="relu"),
            layer("Dense", name="dense_1", units=512, activation="relu"),
            layer("Dense", name="dense_2", units=10, activation="softmax")),
        weights=lambda m: dense("dense", m.dense) | dense("dense_1", m.dense_1) |
                          dense("dense_2", m.dense_2),
        inputs=lambda batch: torch.randn(batch, 784),
        targets=lambda batch: torch.randint(0, 10, (batch,)),
        loss=F.cross_entropy),
    "cnn": Network(
        module=Cnn,
        answers=Probabilities,
        keras=sequential(
            "cnn", [28, 28, 1], "float32",
            layer("Conv2D", name="conv2d", filters=32, kernel_size=[3, 3], padding="same",
                  activation="relu"),
            layer("MaxPooling2D", name="pool", pool_size=[2, 2]),
            layer("Conv2D", name="conv2d_1", filters=64, kernel_size=[3, 3], padding="same",
                  activation="relu"),
            layer("MaxPooling2D", name="pool_1", pool_size=[2, 2]),
            layer("Flatten", name="flatten"),
            layer("Dense", name="dense", units=128, activation="relu"),
            layer("Dense", name="dense_1", units=10, activation="softmax")),
        weights=cnn_weights,
        inputs=lambda batch: torch.randn(batch, 1, 28, 28),
        targets=lambda batch: torch.randint(0, 10, (batch,)),
        loss=F.cross_entropy,
        to_lathe=lambda x: x.permute(0, 2, 3, 1)),
}
