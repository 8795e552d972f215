#include <algorithm>

#include "backends/simd/contraction.h"
#include "backends/simd/factors.h"
#include "ir/byte_product.h"

namespace lathe::simd {
namespace {

// The parallel iv that is best for vectors: contiguous in the result, long.
int choose_columns(const Kernel& k) {
  int best = -1;
  int64_t score = 0;
  for (int i = 0; i < std::ssize(k.par); ++i) {
    if (!byte_product(k, i)) continue;
    const bool unit = k.stores[0].access.offset.coefficient(i) == 1;
    const int64_t s = k.par[static_cast<size_t>(i)] * (unit ? 4 : 1);
    if (s > score) best = i, score = s;
  }
  return best;
}

// The longest iv other than `taken` that moves `mine` but not `other`.
int choose_longest(const Kernel& k, ScalarId mine, ScalarId other, int taken) {
  int best = -1;
  for (int i = 0; i < std::ssize(k.par); ++i)
    if (i != taken && concerns(k, mine, i) && !concerns(k, other, i) &&
        (best < 0 || k.par[static_cast<size_t>(i)] > k.par[static_cast<size_t>(best)]))
      best = i;
  return best;
}

bool affine_but(const Kernel& k, const IndexExpr& e, SymbolId allowed) {
  return std::ranges::all_of(e.terms, [&](const IndexTerm& t) {
    return t.symbol < k.derived_symbol(0) || t.symbol == allowed;
  });
}

// The index at all points of the reduction ivs, less its part outside of them; `quotient` counts
// groups of `group` steps of the last iv.
std::vector<int64_t> offsets(const Kernel& k, const IndexExpr& e, SymbolId quotient, int group) {
  const int64_t step = step_of_k(k, e), of_group = quotient < 0 ? 0 : e.coefficient(quotient);
  std::vector<int64_t> out;
  for (const int64_t run : run_offsets(k, e))
    for (int64_t i = 0; i < k.red.back(); ++i) out.push_back(run + i * step + i / group * of_group);
  return out;
}

Matrix matrix(const Kernel& k, const ByteFactor& f, int along, SymbolId quotient, int group) {
  const Access& access = k.body[static_cast<size_t>(f.load)].access;
  Matrix x;
  x.operand = access.operand, x.offset = access.offset;
  x.along = along < 0 ? 0 : access.offset.coefficient(along);
  x.run = 1;
  x.runs = offsets(k, access.offset, quotient, group);
  x.sign = f.is_signed ? 128 : 0;
  return x;
}

}  // namespace

Result<std::shared_ptr<const Contraction>> plan_byte_contraction(const Canonical& c,
                                                                 const Table& table) {
  const Kernel& k = c.kernel;
  const int n = choose_columns(k);
  if (n < 0) return failure("not a product of bytes");
  const ByteProduct p = *byte_product(k, n);
  const Instr &a = k.body[static_cast<size_t>(p.a.load)],
              &b = k.body[static_cast<size_t>(p.b.load)];
  if (!affine_but(k, a.access.offset, -1) || !affine_but(k, b.access.offset, p.quotient))
    return failure("a factor's offset is not affine in the ivs");
  auto x = std::make_shared<Contraction>();
  for (const GuardId id : a.guards) {
    const Guard& g = k.guards[static_cast<size_t>(id)];
    if (!affine_but(k, g.index, -1)) return failure("a guard is not affine in the ivs");
    x->guards.push_back({g, 0, 0, offsets(k, g.index, -1, 1)});
  }
  x->table = &table;
  x->n = n;
  x->m = choose_longest(k, p.a.load, p.b.load, c.parallel);
  if (x->m < 0) x->m = choose_longest(k, p.a.load, p.b.load, -1);
  for (RowGuard& g : x->guards) g.along = x->m < 0 ? 0 : g.guard.index.coefficient(x->m);
  x->panels = choose_longest(k, p.b.load, p.a.load, n);
  x->k = k.steps();
  x->a = matrix(k, p.a, x->m, -1, 1);
  x->b = matrix(k, p.b, n, p.quotient, p.group);
  x->fill = p.a.fill;
  x->plan = make_plan(c, table, n, true);
  return std::shared_ptr<const Contraction>(std::move(x));
}

}  // namespace lathe::simd
