#include "backends/simd/taps.h"

#include <algorithm>
#include <bit>

#include "backends/simd/factors.h"
#include "backends/simd/vm.h"
#include "ir/scalar_eval.h"

namespace lathe::simd {
namespace {

constexpr int64_t kMostTaps = 512;
constexpr int64_t kSums = 4096;  // finished together

// What is folded: loads, a alone where b is not given, and what stands for a where a guard fails.
struct Folded {
  ScalarId a = -1, b = -1;
  float fill = 0;
};

// The iv along which the loads and the result lie in memory.
int choose_columns(const Kernel& k, const Folded& f) {
  const auto along = [&](ScalarId id, int i) {
    return id < 0 || (factor_offset(k, id).coefficient(i) == 1 && !decides(k, id, i));
  };
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i)
    if (along(f.a, i) && along(f.b, i) && k.par[static_cast<size_t>(i)] > 1) return i;
  return -1;
}

// The index at all points of the reduction ivs, less its part outside of them.
std::vector<int64_t> tap_offsets(const Kernel& k, const IndexExpr& e) {
  std::vector<int64_t> out;
  for (const int64_t run : run_offsets(k, e))
    for (int64_t i = 0; i < k.red.back(); ++i) out.push_back(run + i * step_of_k(k, e));
  return out;
}

Taps::Operand operand(const Kernel& k, ScalarId id) {
  const IndexExpr& offset = factor_offset(k, id);
  return {k.body[static_cast<size_t>(id)].access.operand, offset, tap_offsets(k, offset)};
}

Result<Folded> find_product(const Kernel& k) {
  if (const char* reason = refuse_product(k, DType::f32)) return failure("{}", reason);
  if (k.reductions[0].combine != Combine::Fma) return failure("subnormals are flushed");
  Folded f{k.reductions[0].a, k.reductions[0].b, 0};
  if (guarded(k, f.b)) std::swap(f.a, f.b);
  if (guarded(k, f.b)) return failure("both factors are guarded");
  return f;
}

// A load, or the choice between it and a constant by the load's own guards.
Result<Folded> find_folded(const Kernel& k) {
  if (k.reductions.size() != 1 || is_fma(k.reductions[0].combine)) return find_product(k);
  if (const char* reason = refuse_reduction(k)) return failure("{}", reason);
  const auto instr = [&](ScalarId id) -> const Instr& { return k.body[static_cast<size_t>(id)]; };
  Folded f{k.reductions[0].a, -1, 0};
  const Instr& in = instr(f.a);
  if (in.op == Scalar::Select) {
    const Instr &test = instr(in.args[0]), &other = instr(in.args[2]);
    f.a = in.args[1];
    if (test.op != Scalar::GuardTest || other.op != Scalar::Const ||
        test.guards != instr(f.a).guards)
      return failure("a choice that the load's guards do not make");
    f.fill = static_cast<float>(other.number);
  }
  if (const char* reason = refuse_factor(k, f.a, DType::f32)) return failure("{}", reason);
  return f;
}

class TapsRun {
 public:
  TapsRun(const Taps& x, void* const* args)
      : x_(x), run_(x.plan, args), args_(args), taps_(std::ssize(x.a.taps)) {
    const int64_t tile = x.plan.tile, table = round_up(taps_ * int64_t{sizeof(float*)});
    most_sums_ = std::max(kSums, tile);
    const int64_t short_b = taps_ * x.vector;
    std::byte* memory =
        scratch(ScratchUse::Panels,
                3 * table + (most_sums_ + tile + x.vector + short_b) * int64_t{sizeof(float)});
    a_ = reinterpret_cast<const float**>(memory);
    b_ = reinterpret_cast<const float**>(memory + table);
    a_row_ = reinterpret_cast<int64_t*>(memory + 2 * table);
    sums_ = reinterpret_cast<float*>(memory + 3 * table);
    fill_ = sums_ + most_sums_ + x.vector;
    short_b_ = fill_ + tile;
    std::fill_n(fill_, tile, x.fill);
    along_a_ = along(x.a.offset);
    if (x.b.index >= 0) along_b_ = along(x.b.offset);
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
  static int64_t round_up(int64_t bytes) { return (bytes + 63) / 64 * 64; }
  int64_t along(const IndexExpr& e) const { return x_.m >= 0 ? e.coefficient(x_.m) : 0; }

  // All rows, in groups that are finished together.
  void columns(int64_t start, int64_t count, const int64_t* low, const int64_t* high) {
    run_.symbols()[x_.plan.vector] = start;
    if (x_.m < 0) {
      run_.row();
      point_at(count);
      fold(sums_, 1, count);
      return run_.finish_tile(start, count, sums_);
    }
    const int64_t group = std::max<int64_t>(most_sums_ / count, 1);
    for (int64_t m = low[x_.m]; m < high[x_.m]; m += group) {
      const int64_t rows = std::min(group, high[x_.m] - m);
      run_.symbols()[x_.plan.vector] = start;
      for (int64_t r = 0; r < rows;) {
        run_.symbols()[x_.m] = m + r;
        const int64_t alike = std::min(point_at(count), rows - r);
        fold(sums_ + r * count, alike, count);
        r += alike;
      }
      run_.finish_rows(x_.m, m, rows, start, count, sums_);
    }
  }

  void fold(float* acc, int64_t rows, int64_t n) const {
    TapTile t{a_, a_row_, b_, along_b_, taps_, rows, x_.identity, acc};
    if (n < x_.vector && along_b_ == 0) t.whole = reads_past(rows);
    if (n < x_.vector && along_b_ == 0 && !t.whole && rows > 1) {
      // Only the last row may reach beyond the operand.
      t.rows = rows - 1;
      t.whole = reads_past(t.rows);
      x_.fold(t, n);
      for (int64_t i = 0; i < taps_; ++i) a_[i] += (rows - 1) * a_row_[i];
      t.rows = 1, t.acc += (rows - 1) * n, t.whole = false;
    }
    x_.fold(t, n);
  }

  // Whether whole vectors of rows that are shorter lie in the operands.
  bool reads_past(int64_t rows) const {
    const Operand& a = x_.plan.k.operands[static_cast<size_t>(x_.a.index)];
    const float* end = static_cast<const float*>(args_[x_.a.index]) + a.size - x_.vector;
    if (along_a_ < 0) return false;
    for (int64_t i = 0; i < taps_; ++i)
      if (a_[i] != fill_ && a_[i] + (rows - 1) * a_row_[i] > end) return false;
    return true;
  }

  // Points at what is folded in n columns of the row that the symbols say. Returns for how many
  // rows from there guards leave the same taps out.
  int64_t point_at(int64_t n) {
    const Kernel& k = x_.plan.k;
    const auto point = [&](const Taps::Operand& from, const float** taps) {
      const float* at =
          static_cast<const float*>(args_[from.index]) + index_at(k, from.offset, run_.symbols());
      for (const int64_t tap : from.taps) *taps++ = at + tap;
    };
    point(x_.a, a_);
    std::fill_n(a_row_, taps_, along_a_);
    if (x_.b.index >= 0) point(x_.b, b_);
    if (x_.b.index >= 0 && n < x_.vector && along_b_ == 0)
      for (int64_t t = 0; t < taps_; ++t) {
        std::copy_n(b_[t], n, short_b_ + t * x_.vector);
        b_[t] = short_b_ + t * x_.vector;
      }
    int64_t rows = INT64_MAX;
    for (const Taps::TapGuard& g : x_.guards) {
      const int64_t at = index_at(k, g.guard.index, run_.symbols());
      const int64_t step = along(g.guard.index);
      const int64_t beyond = g.guard.limit - at - g.most;
      if (g.guard.multiple_of == 1 && at + g.least >= 0 && beyond > 0) {
        if (step != 0) rows = std::min(rows, step > 0 ? (beyond - 1) / step + 1 : 1);
        continue;
      }
      if (step != 0) rows = 1;
      for (int64_t t = 0; t < taps_; ++t)
        if (!holds(g.guard, at + g.taps[static_cast<size_t>(t)])) a_[t] = fill_, a_row_[t] = 0;
    }
    return rows;
  }

  const Taps& x_;
  Run run_;
  void* const* args_;
  int64_t taps_, most_sums_ = 0, along_a_ = 0, along_b_ = 0;
  const float **a_ = nullptr, **b_ = nullptr;
  int64_t* a_row_ = nullptr;
  // short_b_: b's rows where they are shorter than a vector, each with room for one.
  float *sums_ = nullptr, *fill_ = nullptr, *short_b_ = nullptr;
};

}  // namespace

Result<std::shared_ptr<const Taps>> plan_taps(const Canonical& c, const Table& table) {
  const Kernel& k = c.kernel;
  const Result<Folded> f = find_folded(k);
  if (!f) return failure("{}", f.error());
  const Reduction& r = k.reductions[0];
  if (k.steps() > kMostTaps) return failure("more than {} taps", kMostTaps);
  const int n = choose_columns(k, *f);
  if (n < 0) return failure("no iv along which what is folded is contiguous");
  auto x = std::make_shared<Taps>();
  x->fold = table.taps(r.combine);
  if (x->fold == nullptr) return failure("not folded in f32");
  x->identity =
      std::bit_cast<float>(static_cast<uint32_t>(scalar::combine_identity(r.combine, DType::f32)));
  x->fill = f->fill;
  x->vector = table.vector;
  x->a = operand(k, f->a);
  if (f->b >= 0) x->b = operand(k, f->b);
  for (const GuardId g : k.body[static_cast<size_t>(f->a)].guards) {
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
