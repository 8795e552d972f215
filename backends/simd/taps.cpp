#include "backends/simd/taps.h"

#include <algorithm>
#include <cstring>

#include "backends/simd/factors.h"
#include "backends/simd/vm.h"

namespace lathe::simd {
namespace {

constexpr int64_t kMostTaps = 512;

// The iv along which both factors and the result lie in memory.
int choose_columns(const Kernel& k, ScalarId a, ScalarId b) {
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i)
    if (factor_offset(k, a).coefficient(i) == 1 && factor_offset(k, b).coefficient(i) == 1 &&
        !decides(k, a, i) && !decides(k, b, i) && k.par[static_cast<size_t>(i)] > 1)
      return i;
  return -1;
}

// The index at all points of the reduction ivs, less its part outside of them.
std::vector<int64_t> tap_offsets(const Kernel& k, const IndexExpr& e) {
  std::vector<int64_t> out;
  for (const int64_t run : run_offsets(k, e))
    for (int64_t i = 0; i < k.red.back(); ++i) out.push_back(run + i * step_of_k(k, e));
  return out;
}

class TapsRun {
 public:
  TapsRun(const Taps& x, void* const* args)
      : x_(x), run_(x.plan, args), args_(args), taps_(std::ssize(x.a_offsets)) {
    const auto pointers = taps_ * static_cast<int64_t>(2 * sizeof(float*));
    std::byte* memory =
        scratch(ScratchUse::Panels, pointers + 2 * x.plan.tile * int64_t{sizeof(float)} + 128);
    a_ = reinterpret_cast<const float**>(memory);
    b_ = a_ + taps_;
    sums_ = reinterpret_cast<float*>(memory + (pointers + 63) / 64 * 64);
    zeros_ = sums_ + x.plan.tile;
    std::memset(zeros_, 0, static_cast<size_t>(x.plan.tile) * sizeof(float));
    run_.start();
  }

  void range(const int64_t* low, const int64_t* high) {
    const Kernel& k = x_.plan.k;
    const SymbolId n = x_.plan.vector;
    const auto count = static_cast<int>(k.par.size());
    for (int i = 0; i < count; ++i) run_.symbols()[i] = low[i];
    for (;;) {
      for (int64_t start = low[n]; start < high[n]; start += x_.plan.tile)
        columns(start, std::min(x_.plan.tile, high[n] - start), low, high);
      int i = count;
      while (i-- > 0) {
        if (i == n || i == x_.m) continue;
        if (++run_.symbols()[i] < high[i]) break;
        run_.symbols()[i] = low[i];
      }
      if (i < 0) return;
    }
  }

 private:
  // All rows, in groups whose sums fit a tile.
  void columns(int64_t start, int64_t count, const int64_t* low, const int64_t* high) {
    run_.symbols()[x_.plan.vector] = start;
    if (x_.m < 0) {
      run_.row();
      point_at();
      x_.table->taps(a_, b_, taps_, sums_, count);
      return run_.finish_tile(start, count, sums_);
    }
    const int64_t group = std::max<int64_t>(x_.plan.tile / count, 1);
    for (int64_t m = low[x_.m]; m < high[x_.m]; m += group) {
      const int64_t rows = std::min(group, high[x_.m] - m);
      run_.symbols()[x_.plan.vector] = start;
      for (int64_t r = 0; r < rows; ++r) {
        run_.symbols()[x_.m] = m + r;
        point_at();
        x_.table->taps(a_, b_, taps_, sums_ + r * count, count);
      }
      run_.finish_rows(x_.m, m, rows, start, count, sums_);
    }
  }

  void point_at() {
    const Kernel& k = x_.plan.k;
    const auto origin = [&](int32_t operand, const IndexExpr& e) {
      return static_cast<const float*>(args_[operand]) + index_at(k, e, run_.symbols());
    };
    const float *a = origin(x_.a_operand, x_.a), *b = origin(x_.b_operand, x_.b);
    for (int64_t t = 0; t < taps_; ++t) {
      a_[t] = a + x_.a_offsets[static_cast<size_t>(t)];
      b_[t] = b + x_.b_offsets[static_cast<size_t>(t)];
    }
    for (const Taps::TapGuard& g : x_.guards) {
      const int64_t at = index_at(k, g.guard.index, run_.symbols());
      if (g.guard.multiple_of == 1 && at + g.least >= 0 && at + g.most < g.guard.limit) continue;
      for (int64_t t = 0; t < taps_; ++t)
        if (!holds(g.guard, at + g.taps[static_cast<size_t>(t)])) a_[t] = zeros_;
    }
  }

  const Taps& x_;
  Run run_;
  void* const* args_;
  int64_t taps_;
  const float **a_ = nullptr, **b_ = nullptr;
  float *sums_ = nullptr, *zeros_ = nullptr;
};

}  // namespace

Result<std::shared_ptr<const Taps>> plan_taps(const Canonical& c, const Table& table) {
  const Kernel& k = c.kernel;
  if (const char* reason = refuse_product(k, DType::f32)) return failure("{}", reason);
  if (k.reductions[0].combine != Combine::Fma) return failure("subnormals are flushed");
  if (k.steps() > kMostTaps) return failure("more than {} taps", kMostTaps);
  ScalarId a = k.reductions[0].a, b = k.reductions[0].b;
  if (guarded(k, b)) std::swap(a, b);
  if (guarded(k, b)) return failure("both factors are guarded");
  const int n = choose_columns(k, a, b);
  if (n < 0) return failure("no iv along which both factors are contiguous");
  auto x = std::make_shared<Taps>();
  x->table = &table;
  x->a = factor_offset(k, a), x->b = factor_offset(k, b);
  x->a_operand = k.body[static_cast<size_t>(a)].access.operand;
  x->b_operand = k.body[static_cast<size_t>(b)].access.operand;
  x->a_offsets = tap_offsets(k, x->a);
  x->b_offsets = tap_offsets(k, x->b);
  for (const GuardId g : k.body[static_cast<size_t>(a)].guards) {
    const Guard& guard = k.guards[static_cast<size_t>(g)];
    std::vector<int64_t> taps = tap_offsets(k, guard.index);
    const auto [least, most] = std::ranges::minmax(taps);
    x->guards.push_back({guard, std::move(taps), least, most});
  }
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i)
    if (i != n) x->m = i;
  x->plan = make_plan(c, table, n, true);
  return std::shared_ptr<const Taps>(std::move(x));
}

void run_taps(void* const* args, int64_t begin, int64_t end, const void* context) {
  const auto& x = *static_cast<const Taps*>(context);
  int64_t low[kMaxIvs], high[kMaxIvs];
  if (plan_range(x.plan, begin, end, low, high)) TapsRun(x, args).range(low, high);
}

}  // namespace lathe::simd
