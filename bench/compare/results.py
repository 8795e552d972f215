"""The tables of bench/RESULTS.md that `run` rewrites. Each stands between `<!-- compare: NAME -->` and
`<!-- end -->`. Rows that were not measured stay as they are, unless the machine is another."""
import datetime
import math
import re
from dataclasses import dataclass
from pathlib import Path

import bars
from rows import ROWS, TITLES, MemoryRow, NarrowRow, OnnxRow, OverheadRow, ProgramRow, ShareRow, StartRow

END = "<!-- end -->"
KEY = 3  # cells at the left that say what was measured


@dataclass(frozen=True)
class Comparison:
    row: object
    case: str
    engine: str
    threads: int
    lathe: float   # milliseconds; bytes where the row is of memory
    theirs: float
    ratio: float  # theirs / Lathe's: median, least and greatest of the rounds
    least: float
    most: float


def machine():
    """The CPU, as the system calls it, and how wide its vectors are."""
    text = Path("/proc/cpuinfo").read_text()
    fields = {k.strip(): v.strip() for k, v in re.findall(r"^([^:\n]+):(.*)$", text, re.M)}
    flags = fields.get("flags", "").split()
    isa = next((name for name in ("avx512f", "avx2", "sse4_2") if name in flags), "")
    return (f"{fields.get('model name', '?')}, family {fields.get('cpu family', '?')} model "
            f"{fields.get('model', '?')}, {isa}")


class NetworkTable:
    head = ("network", "beside", "threads", "Lathe, ms", "theirs, ms", "theirs / Lathe", "of rounds",
            "measured")

    def __init__(self, rows):
        self.titles = [r.title for r in rows]

    def lines(self, measured, today):
        for c in measured:
            yield (c.case, TITLES[c.engine], str(c.threads), milliseconds(c.lathe),
                   milliseconds(c.theirs), f"{c.ratio:.2f}", f"{c.least:.2f} to {c.most:.2f}", today)

    def order(self, line):
        return self.titles.index(line[0]), list(TITLES.values()).index(line[1])

    def summary(self, lines):
        """What the ratios come to, beside each engine."""
        out = []
        for name in TITLES.values():
            ratios = [float(line[5]) for line in lines if line[1] == name]
            if ratios:
                out.append(f"- beside {name}: {summed_up(ratios)}")
        return ["\n".join(out)]


class GemmTable:
    head = ("model", "M x N x K", "threads", "Lathe, GFLOP/s", "OpenBLAS", "Lathe / OpenBLAS", "oneDNN",
            "Lathe / oneDNN", "measured")

    def lines(self, measured, today):
        for case, by_engine in by_case(measured).items():
            model, shape = case.rsplit(" ", 1)
            blas, dnn = by_engine["openblas"], by_engine["onednn"]
            gflops = operations(shape)
            yield (model, shape, str(blas.threads), f"{gflops / blas.lathe:.1f}",
                   f"{gflops / blas.theirs:.1f}", f"{blas.ratio:.2f}",
                   f"{gflops / dnn.theirs:.1f}", f"{dnn.ratio:.2f}", today)

    def order(self, line):
        return int(line[2])

    def summary(self, lines):
        """What the ratios come to."""
        out = []
        for threads in sorted({line[2] for line in lines}):
            for name, column in (("OpenBLAS", 5), ("oneDNN", 7)):
                ratios = [float(line[column]) for line in lines if line[2] == threads]
                out.append(f"- {on(threads)}, beside {name}: "
                           f"{summed_up(ratios)}")
        return ["\n".join(out)]


class ConvTable:
    head = ("net", "layer", "threads", "times", "Lathe, us", "GFLOP/s", "oneDNN, us", "GFLOP/s",
            "oneDNN / Lathe", "measured")
    LEAST = 0.8  # of any layer

    @staticmethod
    def flops(layer):
        depthwise, window, stride, channels, filters, size = re.match(
            r"(depthwise )?(\d+)x\d+(?:/(\d+))? (\d+) > (\d+) at (\d+)", layer).groups()
        positions = ((int(size) - 1) // int(stride or 1) + 1)**2
        return 2 * int(window)**2 * (1 if depthwise else int(channels)) * int(filters) * positions

    def lines(self, measured, today):
        for c in measured:
            net, layer, times = c.case.split(", ")
            rates = [f"{1e-6 * self.flops(layer) / ms:.1f}" for ms in (c.lathe, c.theirs)]
            yield (net, layer, str(c.row.threads), times.split()[0], f"{1e3 * c.lathe:.1f}", rates[0],
                   f"{1e3 * c.theirs:.1f}", rates[1], f"{c.ratio:.2f}", today)

    def order(self, line):
        return int(line[2])

    def summary(self, lines):
        out = []
        for threads, net in sorted({(line[2], line[0]) for line in lines}):
            of_net = [line for line in lines if (line[2], line[0]) == (threads, net)]
            ours, theirs = (sum(int(line[3]) * float(line[column]) for line in of_net) / 1e3
                            for column in (4, 6))
            ratios = [float(line[8]) for line in of_net]
            out.append(f"- {net}, {on(threads)}: {milliseconds(ours)} ms "
                       f"in all beside {milliseconds(theirs)}, ratio {theirs / ours:.2f}; least "
                       f"{min(ratios):.2f}, below {self.LEAST} in {sum(r < self.LEAST for r in ratios)} of "
                       f"{len(ratios)}")
        return ["\n".join(out)]


class FunctionTable:
    head = ("function", "beside", "threads", "Lathe, ns", "theirs, ns", "theirs / Lathe", "measured")

    def lines(self, measured, today):
        for c in measured:
            yield (c.case, TITLES[c.engine], str(c.row.threads), f"{1e6 * c.lathe:.0f}",
                   f"{1e6 * c.theirs:.0f}", f"{c.ratio:.2f}", today)

    def order(self, line):
        return 0  # as measured

    def summary(self, lines):
        return [f"- {summed_up([float(line[5]) for line in lines])}"]


class ShareTable:
    head = ("bound", "case", "threads", "Lathe, ms", "bound, ms", "share", "of rounds", "asked for",
            "measured")

    def lines(self, measured, today):
        for c in measured:
            yield (c.row.bound, c.case, str(c.row.threads), milliseconds(c.lathe), milliseconds(c.theirs),
                   f"{c.ratio:.2f}", f"{c.least:.2f} to {c.most:.2f}", f"{c.row.least:.2f}", today)

    def order(self, line):
        bounds = [row.bound for row in ROWS if isinstance(row, ShareRow)]
        return bounds.index(line[0]), int(line[2])

    def summary(self, lines):
        out = []
        for bound, threads in sorted({(line[0], line[2]) for line in lines}):
            shares = [(float(line[5]), float(line[7])) for line in lines
                      if (line[0], line[2]) == (bound, threads)]
            out.append(f"- {bound}, {on(threads)}: least "
                       f"{min(s for s, _ in shares):.2f}, short in {sum(s < l for s, l in shares)} of "
                       f"{len(shares)}")
        return ["\n".join(out)]


class NarrowTable:
    head = ("numbers", "model, M x N x K", "threads", "Lathe, Gop/s", "% of the roof", "oneDNN, Gop/s",
            "Lathe / oneDNN", "measured")

    def lines(self, measured, today):
        for case, by_engine in by_case(measured).items():
            roof, dnn = by_engine["bound"], by_engine["onednn"]
            work = operations(case.rsplit(" ", 1)[1])
            yield (roof.row.title, case, str(roof.row.threads), f"{work / roof.lathe:.1f}",
                   f"{100 * roof.ratio:.0f}", f"{work / dnn.theirs:.1f}", f"{dnn.ratio:.2f}", today)

    def order(self, line):
        return [row.title for row in ROWS if isinstance(row, NarrowRow)].index(line[0]), int(line[2])

    def summary(self, lines):
        out = []
        for numbers, threads in sorted({(line[0], line[2]) for line in lines}):
            of = [line for line in lines if (line[0], line[2]) == (numbers, threads)]
            out.append(f"- {numbers}, {on(threads)}, beside oneDNN: "
                       f"{summed_up([float(line[6]) for line in of])}")
        return ["\n".join(out)]


class LimitTable(NetworkTable):
    head = ("what", "beside", "threads", "Lathe, ms", "asked for, ms", "asked for / Lathe", "of rounds",
            "measured")

    def __init__(self):
        super().__init__(())

    def order(self, line):
        return 0  # as measured

    def summary(self, lines):
        return []


class MemoryTable:
    head = ("network", "beside", "threads", "Lathe prints, bytes", "theirs, bytes", "theirs / Lathe",
            "measured")

    def lines(self, measured, today):
        for c in measured:
            beside = "ONNX Runtime's arena" if c.engine == "ort" else "Lathe, measured"
            yield (c.case, beside, str(c.row.threads), f"{c.lathe:.0f}", f"{c.theirs:.0f}",
                   f"{c.ratio:.3f}", today)

    def order(self, line):
        return [row.title for row in ROWS if isinstance(row, MemoryRow)].index(line[0])

    def summary(self, lines):
        return []


def by_case(measured):
    """{case: {engine: its comparison}}"""
    cases = {}
    for c in measured:
        cases.setdefault(c.case, {})[c.engine] = c
    return cases


def operations(shape):
    """Of a product M x N x K, in millions: over milliseconds they are 1e9/s."""
    return 2e-6 * math.prod(int(n) for n in shape.split("x"))


def on(threads):
    return f"{threads} thread{'s' if threads != '1' else ''}"


def unit(row):
    return "bytes" if isinstance(row, MemoryRow) else "ms"


def summed_up(ratios):
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return (f"geometric mean {mean:.2f}, least {min(ratios):.2f}, below 1 in "
            f"{sum(r < 1 for r in ratios)} of {len(ratios)}")


def milliseconds(ms):
    return f"{ms:.1f}" if ms >= 10 else f"{ms:.3g}"


def parse_table(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def print_table(head, lines):
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines))


def find_table(text, name):
    """(text before its lines, its lines, text after them)"""
    begin = f"<!-- compare: {name} -->\n"
    before, found, rest = text.partition(begin)
    old, end, after = rest.partition(END)
    if not found or not end:
        raise ValueError(f"there is no table between {begin.strip()} and {END}")
    return before + begin, old, end + after


def replace(text, name, table, lines, here):
    """`text` with these lines in its table `name`; `here` says which machine they are of."""
    before, old, after = find_table(text, name)
    kept = {line[:KEY]: line for line in parse_table(old)} if here in old else {}
    ordered = sorted((kept | {line[:KEY]: line for line in lines}).values(), key=table.order)
    parts = [here, *table.summary(ordered), print_table(table.head, ordered)]
    return before + "\n\n".join(parts) + "\n" + after


def replace_bars(text):
    """`text` with what its tables say of each bar."""
    tables = {name: parse_table(find_table(text, name)[1])
              for name in sorted({table_of(row)[0] for row in ROWS})}
    before, _, after = find_table(text, "bars")
    return before + print_table(bars.HEAD, bars.lines(tables)) + "\n" + after


def bars_of(path):
    """The table of bars as text."""
    return find_table(path.read_text(), "bars")[1]


def table_of(row):
    """(its name in the file, the table)"""
    if isinstance(row, ProgramRow):
        return row.subject, {"gemm": GemmTable, "conv": ConvTable, "function": FunctionTable}[row.subject]()
    if isinstance(row, ShareRow):
        return "share", ShareTable()
    if isinstance(row, NarrowRow):
        return "narrow", NarrowTable()
    if isinstance(row, (StartRow, OverheadRow)):
        return "limit", LimitTable()
    if isinstance(row, MemoryRow):
        return "memory", MemoryTable()
    same = [r for r in ROWS if type(r) is type(row)]
    if isinstance(row, OnnxRow):
        return "onnx", NetworkTable(same)
    return "training" if row.train else "inference", NetworkTable([r for r in same if r.train == row.train])


def write(path, measured):
    if not measured:
        return
    name, table = table_of(measured[0].row)
    lines = list(table.lines(measured, datetime.date.today().isoformat()))
    path.write_text(replace_bars(replace(path.read_text(), name, table, lines, f"On {machine()}.")))
