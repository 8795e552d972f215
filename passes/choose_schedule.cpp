#include <algorithm>

#include "passes/kernel_passes.h"

namespace lathe {
namespace {

// Below this many scalar operations a second thread costs more than it saves (a dispatch is about
// half a microsecond, a scalar operation in vector code a tenth of a nanosecond).
constexpr int64_t kSplitWork = 40000;
constexpr int64_t kChunks = 8;  // per split kernel: enough to balance two to eight threads

int64_t scalar_work(const Kernel& k) {
  const auto body = static_cast<int64_t>(k.body.size());
  const int64_t per_point =
      k.core == Core::Map ? body : k.steps() * std::max<int64_t>(k.pre, 2) + body;
  return k.points() * std::max<int64_t>(per_point, 1);
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
  for (int32_t i = 0; i < k.pre; ++i) {
    const Instr& load = k.body[static_cast<size_t>(i)];
    if (load.op != Scalar::Load) continue;
    std::vector<bool>& in = load.access.offset.coefficient(unit) != 0 ? in_panel : in_rows;
    for (const IndexTerm& t : load.access.offset.terms)
      if (t.symbol < std::ssize(k.par)) in[static_cast<size_t>(t.symbol)] = true;
  }
  int best = -1;
  for (int i = 0; i < std::ssize(k.par); ++i) {
    const auto at = static_cast<size_t>(i);
    if (i != unit && in_panel[at] && !in_rows[at] &&
        (best < 0 || k.par[at] > k.par[static_cast<size_t>(best)]))
      best = i;
  }
  return best;
}

int64_t round_up(int64_t v, int64_t unit) { return (v + unit - 1) / unit * unit; }

}  // namespace

KernelSchedule choose_schedule(const Kernel& k, const Target& target) {
  (void)target;
  KernelSchedule s;
  if (k.par.empty()) {
    if (k.order == Order::Lanes) s.vector = k.red_symbol(static_cast<int>(k.red.size()) - 1);
    return s;
  }
  const int unit = unit_store_iv(k);
  s.vector = k.order == Order::Lanes ? k.red_symbol(static_cast<int>(k.red.size()) - 1) : unit;
  if (scalar_work(k) < kSplitWork) return s;
  // Split the longest iv other than the vector's, unless only that one is long enough.
  int best = -1;
  for (int i = 0; i < std::ssize(k.par); ++i) {
    if (i == unit) continue;
    if (best < 0 || k.par[static_cast<size_t>(i)] > k.par[static_cast<size_t>(best)]) best = i;
  }
  const int64_t unit_extent = k.par[static_cast<size_t>(unit)];
  const int64_t other = best < 0 ? 1 : k.par[static_cast<size_t>(best)];
  const bool contraction = k.reductions.size() == 1 && k.reductions[0].combine == Combine::Fma;
  // Whole panels, unless there are more rows than they have columns.
  if (const int panel = contraction ? panel_iv(k, unit) : -1; panel >= 0) {
    const int64_t panels = k.par[static_cast<size_t>(panel)];
    if (panels >= 4 && (best == panel || other <= std::max<int64_t>(64, panels * unit_extent))) {
      s.parallel = panel;
      s.grain = (panels + kChunks - 1) / kChunks;
      return s;
    }
  }
  // Few rows: splitting columns keeps the register tiles whole (measured in performance.md). Fewer
  // rows than columns: chunks of columns read less in all than chunks of rows, and pack b once.
  const bool columns = other < 8 || (contraction && unit_extent >= 64 &&
                                     other <= std::max<int64_t>(64, unit_extent));
  s.parallel = columns ? unit : best;
  const int64_t extent = columns ? unit_extent : other;
  const int64_t quantum =
      columns ? (unit_extent >= 64 ? 32 : 1) : (contraction && extent >= 64 ? 8 : 1);
  s.grain = round_up((extent + kChunks - 1) / kChunks, quantum);
  if (s.grain >= extent) s.parallel = -1, s.grain = 1;
  return s;
}

}  // namespace lathe
