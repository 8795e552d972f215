// What is split among threads, and how finely, follows from a kernel's time on one thread as this
// file expects it. The figures are measured on a Zen 4 core with AVX-512 and rounded; what matters
// is which kernels are worth a second thread, and that its share is as large as the first's.
#include <algorithm>
#include <limits>

#include "ir/byte_product.h"
#include "ir/pair_product.h"
#include "passes/kernel_passes.h"

namespace lathe {
namespace {

// Nanoseconds: what a second thread costs (handing over, waiting, lines that change cores), and
// what a chunk should take so that handing it out is lost in it.
constexpr double kDispatch = 600, kChunk = 2000;
// A second thread must save so much of the time; on a busy machine it saves less or nothing.
constexpr double kWorthwhile = 0.8;
constexpr double kWaiting =
    0.05;  // of a chunk's time, that a thread waits for the other's last one
constexpr int64_t kMostChunks = 32;  // enough to balance as many threads
// Chunks of rows read all of the factor that they share, and may pack it.
constexpr int64_t kMostRowChunks = 8;
// One row times a factor of more elements takes it from memory, which is fast where a chunk's
// pieces of the factor's rows are this long.
constexpr int64_t kFromMemory = 1 << 18, kPiece = 2048;

bool is_product(const Kernel& k) {
  return k.reductions.size() == 1 && is_fma(k.reductions[0].combine);
}

int64_t round_up(int64_t v, int64_t unit) { return (v + unit - 1) / unit * unit; }

bool moves_apart(const Kernel& k, const Access& a) {
  return !a.indirect.empty() || std::ranges::any_of(a.offset.terms, [&](const IndexTerm& t) {
    return t.symbol >= k.derived_symbol(0);
  });
}

// Of body[begin, end) at one point: arithmetic and access by vectors, gathers element by element.
double part_ns(const Kernel& k, int32_t begin, int32_t end, double per_op) {
  double ops = 0, memory = 0;
  for (int32_t i = begin; i < end; ++i) {
    const Instr& in = k.body[static_cast<size_t>(i)];
    if (in.op == Scalar::Load) memory += moves_apart(k, in.access) ? 0.3 : 0.04;
    else if (in.op != Scalar::Const) ops += per_op;
  }
  return std::max(ops, memory);
}

// Points of the parallel space that share an element of the factor along the vectors.
int64_t rows_of(const Kernel& k, int unit) {
  int64_t rows = k.points();
  for (int32_t i = 0; i < k.pre; ++i) {
    const Instr& load = k.body[static_cast<size_t>(i)];
    if (load.op != Scalar::Load || load.access.offset.coefficient(unit) == 0) continue;
    for (const IndexTerm& t : load.access.offset.terms)
      if (t.symbol < std::ssize(k.par)) rows /= k.par[static_cast<size_t>(t.symbol)];
    return std::max<int64_t>(rows, 1);
  }
  return rows;
}

double expected_ns(const Kernel& k, int unit, const Target& target) {
  const int lanes = std::max(1, target.vector_bytes() / 4);
  const double per_op = lanes >= 8 ? 0.01 : lanes > 1 ? 0.04 : 0.15;
  const auto points = static_cast<double>(k.points()), steps = static_cast<double>(k.steps());
  const auto body = static_cast<int32_t>(k.body.size());
  const double results =
      points * (part_ns(k, k.pre, body, per_op) + 0.04 * static_cast<double>(k.stores.size()));
  if (k.core == Core::Map) return results;
  if (k.core != Core::Reduce) return points * steps * 0.3 * static_cast<double>(body);
  const double each = part_ns(k, 0, k.pre, per_op);
  if (!is_product(k) || k.order == Order::Lanes) return points * steps * each + results;
  // Multiply-adds of whole vectors; one row waits for the other factor's memory instead.
  const int64_t columns = k.par[static_cast<size_t>(unit)];
  const double padded =
      static_cast<double>(round_up(columns, lanes)) / static_cast<double>(columns);
  const double rate =
      (lanes >= 8 ? 56 : 12) * std::min(1.0, 0.4 * static_cast<double>(rows_of(k, unit)));
  if (byte_product(k, unit)) return points * steps * padded / (target.vnni ? 4 * rate : rate);
  if (target.bf16 && pair_product(k, unit)) return points * steps * padded / (2 * rate) + results;
  return points * steps * std::max(padded / rate, each / 4) + results;
}

// The iv along which the results lie side by side; the last one if none does.
int unit_store_iv(const Kernel& k) {
  for (const Store& s : k.stores)
    for (const IndexTerm& t : s.access.offset.terms)
      if (t.coefficient == 1 && t.symbol < std::ssize(k.par)) return t.symbol;
  return static_cast<int>(k.par.size()) - 1;
}

// Of a product: the parallel iv other than `unit` that walks panels of the factor that varies along
// `unit`, and only that factor; -1 where there is none.
int panel_iv(const Kernel& k, int unit) {
  std::vector<bool> in_panel(k.par.size(), false), in_rows(k.par.size(), false);
  int factors = 0;  // that vary along `unit`
  for (int32_t i = 0; i < k.pre; ++i) {
    const Instr& load = k.body[static_cast<size_t>(i)];
    if (load.op != Scalar::Load) continue;
    const bool along = load.access.offset.coefficient(unit) != 0;
    std::vector<bool>& in = along ? in_panel : in_rows;
    factors += along;
    for (const IndexTerm& t : load.access.offset.terms)
      if (t.symbol < std::ssize(k.par)) in[static_cast<size_t>(t.symbol)] = true;
  }
  int best = -1;
  if (factors != 1) return best;
  for (int i = 0; i < std::ssize(k.par); ++i) {
    const auto at = static_cast<size_t>(i);
    if (i != unit && in_panel[at] && !in_rows[at] &&
        (best < 0 || k.par[at] > k.par[static_cast<size_t>(best)]))
      best = i;
  }
  return best;
}

// Whether both factors vary along `unit` (depthwise convolutions): chunks of columns share nothing.
bool moves_together(const Kernel& k, int unit) {
  const Reduction& r = k.reductions[0];
  const auto along = [&](ScalarId id) {
    return k.body[static_cast<size_t>(id)].access.offset.coefficient(unit) != 0;
  };
  return along(r.a) && along(r.b);
}

// The outermost iv, other than these two, that is long enough to split: chunks of it lie apart in
// memory and leave the tiles of the inner ones whole. Else the longest.
int other_iv(const Kernel& k, int unit, int panel) {
  constexpr int64_t kLong = 8;
  int longest = -1;
  for (int i = 0; i < std::ssize(k.par); ++i) {
    if (i == unit || i == panel) continue;
    if (k.par[static_cast<size_t>(i)] >= kLong) return i;
    if (longest < 0 || k.par[static_cast<size_t>(i)] > k.par[static_cast<size_t>(longest)])
      longest = i;
  }
  return longest;
}

// A way to split an iv, and the time that two threads take by it.
struct Split {
  int iv = -1;
  int64_t grain = 1;
  double ns = std::numeric_limits<double>::infinity();
};

// The larger share of two threads that take turns, as a part of all.
double larger_share(int64_t extent, int64_t grain) {
  const int64_t chunks = (extent + grain - 1) / grain, others = chunks / 2 * grain;
  return static_cast<double>(std::max(others, extent - others)) / static_cast<double>(extent);
}

// Chunks of whole quanta: as even as they get, and then as many as wanted. Few of them leave little
// to do for the thread that is first.
Split split_evenly(int iv, int64_t extent, int64_t quantum, int64_t most, double ns) {
  Split best;
  const int64_t quanta = (extent + quantum - 1) / quantum;
  const int64_t wanted =
      std::min(quanta, std::clamp(static_cast<int64_t>(ns / kChunk), int64_t{2}, most));
  for (int64_t chunks = wanted; chunks >= 2; --chunks) {
    const int64_t grain = (quanta + chunks - 1) / chunks * quantum;
    if (grain >= extent) continue;
    const double time =
        ns * (larger_share(extent, grain) + kWaiting / static_cast<double>(chunks)) + kDispatch;
    if (time < best.ns) best = {iv, grain, time};
  }
  return best;
}

Split choose_split(const Kernel& k, int unit, double ns) {
  const bool product = is_product(k), together = product && moves_together(k, unit);
  const int panel = product ? panel_iv(k, unit) : -1, other = other_iv(k, unit, panel);
  const int64_t columns = k.par[static_cast<size_t>(unit)];
  const int64_t panels = panel < 0 ? 1 : k.par[static_cast<size_t>(panel)];
  const int64_t rows = k.points() / columns / panels;
  const bool streams = product && k.order == Order::Sequential && rows == 1 && panel < 0 &&
                       k.steps() * columns > kFromMemory;
  const auto by_columns = [&] {
    const int64_t quantum = together ? 96 : columns >= 64 ? 32 : 16;  // register tiles, whole
    const int64_t most = streams ? std::max<int64_t>(2, columns / kPiece) : kMostChunks;
    return split_evenly(unit, columns, quantum, std::min(most, kMostChunks), ns);
  };
  const auto by_rows = [&] {
    if (other < 0) return Split{};
    const int64_t extent = k.par[static_cast<size_t>(other)];
    return split_evenly(other, extent, product && extent >= 64 && extent == rows ? 8 : 1,
                        product ? kMostRowChunks : kMostChunks, ns);
  };
  // Whole panels, unless there are more rows than they have columns.
  if (panel >= 0) {
    const Split by_panels = split_evenly(panel, panels, 1, kMostChunks, ns);
    if (other < 0) return by_panels;
    if (panels >= 4 && rows <= std::max<int64_t>(64, panels * columns)) {
      // A few panels may not be even; rows are, where there are tiles of them for both threads.
      constexpr int64_t kSomeRows = 32;
      const Split even = rows < kSomeRows ? Split{} : by_rows();
      return even.ns < 0.9 * by_panels.ns ? even : by_panels;
    }
  }
  // Few rows: splitting columns keeps the register tiles whole (measured in performance.md). Fewer
  // rows than columns: chunks of columns read less in all than chunks of rows, and pack b once.
  const bool wide =
      rows < 8 || (product && !together && columns >= 64 && rows <= std::max<int64_t>(64, columns));
  const Split first = wide ? by_columns() : by_rows(), second = wide ? by_rows() : by_columns();
  return second.ns < 0.9 * first.ns ? second : first;
}

}  // namespace

KernelSchedule choose_schedule(const Kernel& k, const Target& target) {
  KernelSchedule s;
  if (k.par.empty()) {
    if (k.order == Order::Lanes) s.vector = k.red_symbol(static_cast<int>(k.red.size()) - 1);
    return s;
  }
  const int unit = unit_store_iv(k);
  s.vector = k.order == Order::Lanes ? k.red_symbol(static_cast<int>(k.red.size()) - 1) : unit;
  const double ns = expected_ns(k, unit, target) * (target.two_fma512 ? 0.5 : 1);
  const Split split = choose_split(k, unit, ns);
  if (split.ns < kWorthwhile * ns) s.parallel = split.iv, s.grain = split.grain;
  return s;
}

}  // namespace lathe
