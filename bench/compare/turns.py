"""Measures rows, the engines taking turns, and writes what they say into bench/RESULTS.md."""
import os
import statistics
import sys
from pathlib import Path

import engines
import limits
import memory
import onnx_models
import results
import rows

RESULTS = Path(__file__).resolve().parent.parent / "RESULTS.md"
LOAD_OF_OTHERS = 0.2  # of the machine


def busy_seconds():
    """Of all CPUs, with everything that runs on them."""
    user, nice, system, _, _, irq, softirq, *_ = Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    ticks = sum(map(int, (user, nice, system, irq, softirq)))
    return ticks / os.sysconf("SC_CLK_TCK")


def warn_of_others(before, after):
    """An engine whose threads wait for each other loses most by it: the ratio is not to be trusted."""
    (start, busy, own), (end, busy_after, own_after) = before, after
    others = (busy_after - busy - own_after + own) / (end - start) / os.cpu_count()
    if others > LOAD_OF_OTHERS:
        print(f"run: other processes used {others:.0%} of this machine meanwhile", file=sys.stderr)


def clocks():
    t = os.times()
    return t.elapsed, busy_seconds(), t.user + t.system + t.children_user + t.children_system


def asked_of(row, o):
    """What asks the engines about a row."""
    kinds = {rows.NetworkRow: engines.Networks, rows.OnnxRow: onnx_models.OnnxModels,
             rows.ProgramRow: engines.Programs, rows.ShareRow: engines.Shares, rows.NarrowRow: engines.Shares,
             rows.StartRow: limits.Start, rows.OverheadRow: limits.Overhead, rows.MemoryRow: memory.Memory}
    return kinds[type(row)](row, o)


def measure(row, o):
    """{(case, engine): [ms of each round]}, the engines taking turns."""
    asked = asked_of(row, o)
    asked.prepare()
    before = clocks()
    times = {}
    for _ in range(o.rounds):
        for engine in ("lathe", *row.engines):
            for case, ms in asked.measure(engine).items():
                times.setdefault((case, engine), []).append(ms)
    warn_of_others(before, clocks())
    return times


def comparisons(row, times, threads):
    for (case, engine), theirs in times.items():
        if engine != "lathe":
            ours = times[case, "lathe"]
            ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
            yield results.Comparison(row, case, engine, getattr(row, "threads", threads),
                                     statistics.median(ours), statistics.median(theirs),
                                     statistics.median(ratios), ratios[0], ratios[-1])


def run(o):
    for row in rows.ROWS:
        if row.name not in o.only:
            continue
        measured = []
        for c in comparisons(row, measure(row, o), o.threads):
            measured.append(c)
            print(f"{row.name:11} {c.case:52} Lathe {c.lathe:9.4f} {results.unit(row)}, "
                  f"{rows.TITLES[c.engine]:12} {c.theirs:9.4f} {results.unit(row)}, ratio {c.ratio:.2f} "
                  f"({c.least:.2f} to {c.most:.2f})", flush=True)
        if not o.dry_run:
            results.write(RESULTS, measured)
    print(results.bars_of(RESULTS))
