"""What is compared: rows of the tables in bench/RESULTS.md."""
from dataclasses import dataclass

TITLES = {"ort": "ONNX Runtime", "torch": "PyTorch", "openblas": "OpenBLAS", "onednn": "oneDNN"}


@dataclass(frozen=True)
class NetworkRow:
    """One network, measured as a whole. Its files are in a folder of the row's name."""
    name: str     # for --only
    title: str    # in the table
    network: str  # a key of networks.NETWORKS
    batch: int
    train: bool = False

    @property
    def kind(self):
        return "train" if self.train else "infer"

    @property
    def engines(self):
        return ("torch",) if self.train else ("ort", "torch")


@dataclass(frozen=True)
class GemmRow:
    """All shapes of gemm_shapes.h, each a case of its own."""
    name: str
    threads: int
    engines = ("openblas", "onednn")


ROWS = (
    NetworkRow("train-lstm", "LSTM classifier, batch 32, 100 tokens, 10,000 words", "lstm", 32, True),
    NetworkRow("train-mlp", "MLP 784-512-512-10, batch 64", "mlp", 64, True),
    NetworkRow("train-cnn", "CNN on 28x28, batch 64", "cnn", 64, True),
    NetworkRow("lstm-b1", "LSTM classifier, batch 1, 100 tokens", "lstm", 1),
    NetworkRow("lstm-b32", "LSTM classifier, batch 32, 100 tokens", "lstm", 32),
    NetworkRow("mlp-b1", "MLP 784-512-512-10, batch 1", "mlp", 1),
    NetworkRow("mlp-b64", "MLP 784-512-512-10, batch 64", "mlp", 64),
    NetworkRow("cnn-b1", "CNN on 28x28, batch 1", "cnn", 1),
    GemmRow("gemm-1t", 1),
    GemmRow("gemm-2t", 2),
)
