#include <algorithm>
#include <initializer_list>

#include "backends/simd/contraction.h"
#include "backends/simd/factors.h"

namespace lathe::simd {
namespace {

// Columns below which tiles of the VM do as well: for short sums, and for those long enough to be
// worth a register tile that is mostly empty.
constexpr int64_t kNarrowest = 8, kNarrowestOfLong = 2, kLong = 32;

// The iv that moves `mine` but not `other` and is best for vectors: contiguous in the result, long.
int choose_columns(const Kernel& k, ScalarId mine, ScalarId other, int* score) {
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i)
    if (decides(k, mine, i)) return -1;
  int best = -1;
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i) {
    if (!concerns(k, mine, i) || concerns(k, other, i)) continue;
    const int64_t extent = k.par[static_cast<size_t>(i)];
    if (extent < (k.steps() < kLong ? kNarrowest : kNarrowestOfLong)) continue;
    int s = extent >= 32 ? 3 : 1;
    if (k.stores[0].access.offset.coefficient(i) == 1) s += 4;
    if (factor_offset(k, mine).coefficient(i) == 1) s += 1;
    if (s > *score) best = i, *score = s;
  }
  return best;
}

// The longest iv that moves `mine` but not `other`, and is none of those given.
int choose_longest(const Kernel& k, ScalarId mine, ScalarId other,
                   std::initializer_list<int> taken) {
  int best = -1;
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i) {
    if (std::ranges::find(taken, i) != taken.end()) continue;
    if (!concerns(k, mine, i) || concerns(k, other, i)) continue;
    if (best < 0 || k.par[static_cast<size_t>(i)] > k.par[static_cast<size_t>(best)]) best = i;
  }
  return best;
}

int64_t step_of(const IndexExpr& e, int iv) { return iv >= 0 ? e.coefficient(iv) : 0; }

Matrix matrix(const Kernel& k, ScalarId id, int along) {
  Matrix x;
  x.operand = k.body[static_cast<size_t>(id)].access.operand;
  x.offset = factor_offset(k, id);
  x.along = step_of(x.offset, along);
  x.step = step_of_k(k, x.offset);
  x.run = k.red.back();
  x.runs = run_offsets(k, x.offset);
  const auto even = [&](size_t i) { return x.runs[i] == static_cast<int64_t>(i) * x.run * x.step; };
  bool all_even = true;
  for (size_t i = 0; i < x.runs.size(); ++i) all_even &= even(i);
  if (all_even) x.runs.clear(), x.run = k.steps();
  return x;
}

// Guards need to know in which run of the reduction ivs a k is.
void add_guards(Contraction& x, const Kernel& k, ScalarId a) {
  for (const int32_t g : k.body[static_cast<size_t>(a)].guards) {
    const Guard& guard = k.guards[static_cast<size_t>(g)];
    RowGuard row{guard, step_of(guard.index, x.m), step_of_k(k, guard.index),
                 run_offsets(k, guard.index)};
    const auto [least, most] = std::ranges::minmax(row.runs);
    const int64_t within = row.step * (k.red.back() - 1);
    row.least = least + std::min<int64_t>(within, 0),
    row.most = most + std::max<int64_t>(within, 0);
    x.guards.push_back(std::move(row));
  }
  if (x.guards.empty()) return;
  x.a.run = k.red.back();
  x.a.runs = run_offsets(k, x.a.offset);
}

// What guards, which no parallel iv decides, leave of B.
std::vector<uint8_t> there(const Kernel& k, ScalarId b) {
  std::vector<uint8_t> out;
  if (!guarded(k, b)) return out;
  out.assign(static_cast<size_t>(k.steps()), 1);
  for (const GuardId id : k.body[static_cast<size_t>(b)].guards) {
    const Guard& g = k.guards[static_cast<size_t>(id)];
    const int64_t run = k.red.back(), step = step_of_k(k, g.index);
    const std::vector<int64_t> runs = run_offsets(k, g.index);
    for (int64_t i = 0; i < std::ssize(out); ++i)
      if (!holds(g, g.index.constant + runs[static_cast<size_t>(i / run)] + i % run * step))
        out[static_cast<size_t>(i)] = 0;
  }
  return out;
}

}  // namespace

Result<std::shared_ptr<const Contraction>> plan_contraction(const Canonical& c, const Table& table,
                                                            DType factors) {
  const Kernel& k = c.kernel;
  if (const char* reason = refuse_product(k, factors)) return failure("{}", reason);
  ScalarId a = k.reductions[0].a, b = k.reductions[0].b;
  int score = 0;
  int n = choose_columns(k, b, a, &score);
  const int other = choose_columns(k, a, b, &score);
  if (other >= 0) n = other, std::swap(a, b);
  if (n < 0) return failure("no iv of {} or more moves only one factor", kNarrowestOfLong);

  auto x = std::make_shared<Contraction>();
  x->table = &table;
  x->n = n;
  // Rows of a call are few along the iv that calls are split by.
  x->m = choose_longest(k, a, b, {c.parallel});
  if (x->m < 0) x->m = choose_longest(k, a, b, {});
  x->panels = choose_longest(k, b, a, {n});
  x->k = k.steps();
  x->a = matrix(k, a, x->m);
  x->b = matrix(k, b, n);
  add_guards(*x, k, a);
  x->b_there = there(k, b);
  x->flush = k.reductions[0].combine == Combine::FmaFlush;
  x->plan = make_plan(c, table, n, true);
  return std::shared_ptr<const Contraction>(std::move(x));
}

}  // namespace lathe::simd
