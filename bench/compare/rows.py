"""What is compared: rows of the tables in bench/RESULTS.md."""
from dataclasses import dataclass

TITLES = {"ort": "ONNX Runtime", "torch": "PyTorch", "openblas": "OpenBLAS", "onednn": "oneDNN",
          "simd": "Lathe's xsimd backend", "sleef": "SLEEF", "bound": "the bound", "measured": "measured", "limit": "what is asked"}


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
class OnnxRow:
    """One ONNX model as it stands, with inputs and outputs from a third engine."""
    name: str
    title: str
    source: str  # in ../shared: "anchors/NAME" (written by anchors/models.py) or "onnx/models/FOLDER"
    engines = ("ort", "simd")


@dataclass(frozen=True)
class ProgramRow:
    """What the programs <subject>_<engine> measure, each of their lines a case of its own."""
    name: str
    subject: str
    threads: int
    engines: tuple


def gemm(name, threads):
    return ProgramRow(name, "gemm", threads, ("openblas", "onednn"))


def conv(name, threads):
    return ProgramRow(name, "conv", threads, ("onednn",))


@dataclass(frozen=True)
class ShareRow:
    """Lathe beside what the machine can do: the program says what `what` is."""
    name: str
    what: str
    threads: int
    least: float  # that the bar asks for
    isa: str = ""
    program: str = "share"
    engines = ("bound",)

    @property
    def bound(self):
        named = {"gemv": "reading", "copy": "copying"}
        return f"{self.isa.upper()} {named.get(self.what, 'multiply-adds')}".strip()


@dataclass(frozen=True)
class NarrowRow:
    """Products of narrow numbers: the machine's own instructions for them, and oneDNN."""
    name: str
    what: str
    title: str
    threads: int
    isa = ""
    program = "narrow_gemm_bench"
    engines = ("bound", "onednn")


@dataclass(frozen=True)
class StartRow:
    """Seconds from the start of a process to the first result of an anchor model, as ../start measures."""
    name: str
    title: str
    source: str
    threads: int = 2
    limits = {"empty cache": 0.3, "second process": 0.1, "empty cache, --wait-compile, 1 thread": 1.5}
    engines = ("limit",)


@dataclass(frozen=True)
class OverheadRow:
    """What a run of an anchor model takes beyond its kernels."""
    name: str
    title: str
    source: str
    threads: int
    limit = 2e-3  # ms
    engines = ("limit",)


@dataclass(frozen=True)
class MemoryRow:
    """Bytes that a run of an anchor model takes beyond weights, inputs and outputs: as `inspect --stage
    program` prints them, as measured, and of ONNX Runtime's arena."""
    name: str
    title: str
    source: str
    threads: int = 2
    engines = ("measured", "ort")


ANCHORS = (
    OnnxRow("onnx-mlp-b1", "MLP 784-512-512-10, batch 1", "anchors/mlp_b1"),
    OnnxRow("onnx-mlp-b64", "MLP 784-512-512-10, batch 64", "anchors/mlp_b64"),
    OnnxRow("onnx-lstm-b1", "LSTM classifier, batch 1", "anchors/lstm_b1"),
    OnnxRow("onnx-lstm-b32", "LSTM classifier, batch 32", "anchors/lstm_b32"),
    OnnxRow("onnx-resnet50", "ResNet-50", "anchors/resnet50"),
    OnnxRow("onnx-mobilenetv2", "MobileNetV2", "anchors/mobilenetv2"),
    OnnxRow("onnx-bert", "BERT-base, 128 tokens", "anchors/bert_base"),
    OnnxRow("onnx-gpt2", "GPT-2 small, 64 tokens", "anchors/gpt2_small"),
)

ROWS = (
    NetworkRow("train-lstm", "LSTM classifier, batch 32, 100 tokens, 10,000 words", "lstm", 32, True),
    NetworkRow("train-mlp", "MLP 784-512-512-10, batch 64", "mlp", 64, True),
    NetworkRow("train-cnn", "CNN on 28x28, batch 64", "cnn", 64, True),
    NetworkRow("train-gpt", "GPT of 4 layers of 128, batch 16, 128 characters", "gpt", 16, True),
    NetworkRow("lstm-b1", "LSTM classifier, batch 1, 100 tokens", "lstm", 1),
    NetworkRow("lstm-b32", "LSTM classifier, batch 32, 100 tokens", "lstm", 32),
    NetworkRow("mlp-b1", "MLP 784-512-512-10, batch 1", "mlp", 1),
    NetworkRow("mlp-b64", "MLP 784-512-512-10, batch 64", "mlp", 64),
    NetworkRow("cnn-b1", "CNN on 28x28, batch 1", "cnn", 1),
    *ANCHORS,
    OnnxRow("onnx-yolox", "YOLOX-nano", "onnx/models/yolox-nano__yolox_nano"),
    OnnxRow("onnx-magika", "Magika", "onnx/models/magika__standard_v2_1"),
    OnnxRow("onnx-scrfd", "SCRFD 500M", "onnx/models/face-detectors__scrfd_500m_bnkps"),
    OnnxRow("onnx-silero", "Silero VAD 5", "onnx/models/silero-vad__silero_vad"),
    OnnxRow("onnx-fsmn", "FSMN VAD", "onnx/models/fsmn-vad__fsmnvad-online"),
    OnnxRow("onnx-silero-v4", "Silero VAD 4", "onnx/models/silero-vad__silero_vad_v4_20221026"),
    OnnxRow("onnx-dtln", "DTLN, model 1", "onnx/models/dtln__model_1"),
    OnnxRow("onnx-ultraface", "UltraFace RFB-320", "onnx/models/ultraface__version-RFB-320"),
    OnnxRow("onnx-fastestdet", "FastestDet", "onnx/models/fastestdet__FastestDet"),
    OnnxRow("onnx-ppocr", "PP-OCR direction classifier",
            "onnx/models/ppocr__ch_ppocr_mobile_v2.0_cls_infer"),
    gemm("gemm-1t", 1),
    gemm("gemm-2t", 2),
    conv("conv-1t", 1),
    conv("conv-2t", 2),
    ProgramRow("function-1t", "function", 1, ("sleef",)),
    *(NarrowRow(f"{name}-{threads}t", what, title, threads)
      for name, what, title in (("bf16", "bf16", "bf16 x bf16 > f32"), ("int8", "u8s8", "u8 x s8 > i32"))
      for threads in (1, 2)),
    ShareRow("lstm-1t", "lstm", 1, 0.80),
    ShareRow("peak-1t", "gemm", 1, 0.90),
    ShareRow("peak-2t", "gemm", 2, 0.90),
    ShareRow("avx2-1t", "gemm", 1, 0.85, "avx2"),
    ShareRow("avx2-2t", "gemm", 2, 0.85, "avx2"),
    ShareRow("gemv-1t", "gemv", 1, 0.85),
    ShareRow("gemv-2t", "gemv", 2, 0.85),
    ShareRow("copy-1t", "copy", 1, 0.85),
    ShareRow("copy-2t", "copy", 2, 0.85),
    *(ShareRow(f"attention-{what}-{threads}t", what, threads, 0.65, program="attention_bench")
      for what in ("forward", "training") for threads in (1, 2)),
    StartRow("start", "ResNet-50", "anchors/resnet50"),
    OverheadRow("overhead", "MLP 784-512-512-10, batch 1", "anchors/mlp_b1", 1),
    *(MemoryRow(row.name.replace("onnx", "memory"), row.title, row.source)
      for row in ANCHORS),
)
