"""What is asked of Lathe's speed, each line held against the tables of bench/RESULTS.md. Ratios above 1 mean
that Lathe is faster."""
import math
from collections import namedtuple

HEAD = ("work", "asked for", "measured", "held")

# Numbers are a function of the tables; held are those that are at least `least`, and in the mean `mean`.
Bar = namedtuple("Bar", "work asked numbers least mean", defaults=(None,))

THREADS = (("1", "1 thread"), ("2", "2 threads"))


def column(table, index, of):
    return lambda tables: [float(line[index]) for line in tables[table] if of(line)]


def products(threads):
    """Beside the better of the two."""
    return lambda tables: [min(float(line[5]), float(line[7])) for line in tables["gemm"] if line[2] == threads]


def narrow(numbers, threads, index):
    return column("narrow", index, lambda line: line[0].startswith(numbers) and line[2] == threads)


def narrow_share(numbers, threads):
    return lambda tables: [n / 100 for n in narrow(numbers, threads, 4)(tables)]


def share(bound, threads, begin=""):
    return column("share", 5, lambda line: line[0] == bound and line[2] == threads and line[1].startswith(begin))


def product_share(bound, threads):
    """Of the lines that are of products, which end in M x N x K."""
    return column("share", 5, lambda line: line[0] == bound and line[2] == threads and
                  line[1].split("x")[-1].isdigit())


def beside(engine, table, case=""):
    return column(table, 5, lambda line: line[1] == engine and line[0].startswith(case))


def layers(threads):
    return column("conv", 8, lambda line: line[2] == threads)


def nets(threads):
    """Sums over each net."""
    def numbers(tables):
        sums = {}
        for net, _, on, times, ours, _, theirs, *_ in tables["conv"]:
            if on == threads:
                before = sums.get(net, (0, 0))
                sums[net] = tuple(b + int(times) * float(us) for b, us in zip(before, (ours, theirs)))
        return [theirs / ours for ours, theirs in sums.values()]
    return numbers


def fallback(tables):
    """The xsimd backend's speed, LLVM's being 1."""
    return [1 / ratio for ratio in beside("Lathe's xsimd backend", "onnx")(tables)]


def printed(tables):
    """How far from what is measured, as a ratio."""
    return [min(ratio, 1 / ratio) for ratio in beside("Lathe, measured", "memory")(tables)]


def of_threads(make):
    return [bar for threads, words in THREADS for bar in make(threads, words)]


BARS = (
    *of_threads(lambda t, words: [
        Bar(f"f32 products, {words}", "beside the better of oneDNN and OpenBLAS: mean 1, none below 0.9",
            products(t), 0.9, 1),
        Bar(f"those with M >= 32, N >= 64, K >= 128, {words}", "0.90 of the multiply-adds' peak",
            product_share("multiply-adds", t), 0.9)]),
    *(bar for name in ("bf16", "u8") for bar in of_threads(lambda t, words, name=name: [
        Bar(f"products of {name}, {words}", "0.85 of the roof", narrow_share(name, t), 0.85),
        Bar(f"products of {name}, {words}", "beside oneDNN: mean 1", narrow(name, t, 6), 0, 1)])),
    *of_threads(lambda t, words: [
        Bar(f"one row by weights beyond L3, {words}", "0.85 of reading", share("reading", t), 0.85),
        Bar(f"convolutions, {words}", "beside oneDNN: no layer below 0.8", layers(t), 0.8),
        Bar(f"convolutions, {words}", "beside oneDNN: each net in all 1", nets(t), 1),
        Bar(f"functions and rows, 64 MiB, {words}", "0.85 of copying",
            column("share", 5, lambda line, t=t: line[0] == "copying" and line[2] == t and "64 MiB" in line[1]),
            0.85),
        Bar(f"functions and rows, 4 MiB, {words}", "0.85 of copying",
            column("share", 5, lambda line, t=t: line[0] == "copying" and line[2] == t and ", 4 MiB" in line[1]),
            0.85),
        Bar(f"attention, {words}", "0.65 of the multiply-adds' peak", share("multiply-adds", t, "forward"), 0.65),
        Bar(f"attention's training, {words}", "0.65 of the multiply-adds' peak", share("multiply-adds", t, "training"), 0.65)]),
    Bar("functions in L1, 1 thread", "no slower than SLEEF", column("function", 5, lambda line: True), 1),
    Bar("LSTM, 1 thread", "0.80 of the multiply-adds' peak", share("multiply-adds", "1", "LSTM 128 >"), 0.8),
    Bar("ONNX models, 2 threads", "beside ONNX Runtime: mean 1.3, none below 0.95",
        beside("ONNX Runtime", "onnx"), 0.95, 1.3),
    Bar("training steps, 2 threads", "beside PyTorch: mean 2, none below 1.3", beside("PyTorch", "training"),
        1.3, 2),
    Bar("xsimd backend, 2 threads", "0.6 of LLVM's speed", fallback, 0.6),
    *of_threads(lambda t, words: [
        Bar(f"products with LATHE_ISA=avx2, {words}", "0.85 of AVX2's peak",
            product_share("AVX2 multiply-adds", t), 0.85)]),
    Bar("ResNet-50 from an empty cache", "first result in 0.3 s, compiled on one thread in 1.5 s",
        column("limit", 5, lambda line: "empty cache" in line[0]), 1),
    Bar("ResNet-50, second process", "first result in 0.1 s",
        column("limit", 5, lambda line: "second process" in line[0]), 1),
    Bar("MLP, batch 1", "no slower than ONNX Runtime",
        beside("ONNX Runtime", "onnx", "MLP 784-512-512-10, batch 1"), 1),
    Bar("MLP, batch 1", "2 us outside of kernels",
        column("limit", 5, lambda line: "outside of kernels" in line[0]), 1),
    Bar("memory of a run", "ONNX Runtime's arena is no smaller", beside("ONNX Runtime's arena", "memory"), 1),
    Bar("memory of a run", "printed within 1 % of measured", printed, 0.99),
)


def lines(tables):
    """What the tables say of each bar; one whose table is empty was not measured on this machine."""
    for bar in BARS:
        numbers = bar.numbers(tables)
        if not numbers:
            yield bar.work, bar.asked, "nothing yet", ""
            continue
        short = sum(n < bar.least for n in numbers)
        mean = math.exp(sum(map(math.log, numbers)) / len(numbers))
        text = [f"mean {mean:.2f}"] if bar.mean else []
        text += [f"least {min(numbers):.2f}" if len(numbers) > 1 else f"{numbers[0]:.2f}"]
        text += [f"short in {short} of {len(numbers)}"] if short else []
        yield bar.work, bar.asked, ", ".join(text), "no" if short or mean < (bar.mean or 0) else "yes"
