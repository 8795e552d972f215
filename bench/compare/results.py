"""The tables of bench/RESULTS.md that `run` rewrites. Each stands between `<!-- compare: NAME -->` and
`<!-- end -->`; rows that were not measured stay as they are, unless the machine is another."""
import datetime
import math
import re
from dataclasses import dataclass
from pathlib import Path

from engines import TITLES
from rows import ROWS, GemmRow


@dataclass(frozen=True)
class Comparison:
    row: object
    case: str
    engine: str
    lathe_ms: float
    their_ms: float
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


def milliseconds(ms):
    return f"{ms:.1f}" if ms >= 10 else f"{ms:.3g}"


NETWORK_HEAD = ("network", "beside", "threads", "Lathe, ms", "theirs, ms", "theirs / Lathe", "of rounds",
                "measured")
GEMM_HEAD = ("M x N x K", "threads", "Lathe, GFLOP/s", "OpenBLAS", "Lathe / OpenBLAS", "oneDNN",
             "Lathe / oneDNN", "measured")


def network_line(c, threads, today):
    return (c.row.title, TITLES[c.engine], str(threads), milliseconds(c.lathe_ms),
            milliseconds(c.their_ms), f"{c.ratio:.2f}", f"{c.least:.2f} to {c.most:.2f}", today)


def gemm_line(by_engine, today):
    first = next(iter(by_engine.values()))
    flops = 2 * math.prod(int(n) for n in first.case.split("x"))
    cells = [first.case, str(first.row.threads), f"{flops / first.lathe_ms / 1e6:.1f}"]
    for engine in ("openblas", "onednn"):
        c = by_engine[engine]
        cells += [f"{flops / c.their_ms / 1e6:.1f}", f"{c.ratio:.2f}"]
    return (*cells, today)


def gemm_lines(measured, today):
    cases = {}
    for c in measured:
        cases.setdefault((c.case, c.row.threads), {})[c.engine] = c
    return [gemm_line(by_engine, today) for by_engine in cases.values()]


def parse_table(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def print_table(head, lines):
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines))


def summary(lines):
    """What the lines of a GEMM table come to, by number of threads."""
    out = []
    for threads in sorted({line[1] for line in lines}):
        for name, column in (("OpenBLAS", 4), ("oneDNN", 6)):
            ratios = [float(line[column]) for line in lines if line[1] == threads]
            mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
            slower = sum(r < 1 for r in ratios)
            out.append(f"- {threads} thread{'s' if threads != '1' else ''}, beside {name}: geometric mean "
                       f"{mean:.2f}, least {min(ratios):.2f}; slower in {slower} of {len(ratios)}")
    return "\n".join(out)


def network_order(line):
    titles = [getattr(row, "title", "") for row in ROWS]
    return titles.index(line[0]) if line[0] in titles else len(titles), list(TITLES.values()).index(line[1])


def replace(text, name, head, lines):
    """`text` with these lines in the table `name`, in place of the old ones of the same first cells."""
    begin, end = f"<!-- compare: {name} -->\n", "<!-- end -->"
    before, found, rest = text.partition(begin)
    if not found:
        raise ValueError(f"no table `{begin.strip()}`")
    old_text, _, after = rest.partition(end)
    here = f"On {machine()}."
    key = (lambda line: line[:2]) if head == GEMM_HEAD else (lambda line: line[:3])
    table = {key(line): line for line in parse_table(old_text)} if here in old_text else {}
    table |= {key(line): line for line in lines}
    ordered = list(table.values())
    ordered.sort(key=(lambda line: line[1]) if head == GEMM_HEAD else network_order)
    text = f"{here}\n\n{print_table(head, ordered)}\n"
    if head == GEMM_HEAD:
        text = f"{here}\n\n{summary(ordered)}\n\n{print_table(head, ordered)}\n"
    return before + begin + text + end + after


def write(path, measured, threads):
    if not measured:
        return
    today = datetime.date.today().isoformat()
    row = measured[0].row
    if isinstance(row, GemmRow):
        name, head, lines = "gemm", GEMM_HEAD, gemm_lines(measured, today)
    else:
        name, head = "training" if row.train else "inference", NETWORK_HEAD
        lines = [network_line(c, threads, today) for c in measured]
    path.write_text(replace(path.read_text(), name, head, lines))
