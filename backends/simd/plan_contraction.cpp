#include <algorithm>

#include "backends/simd/contraction.h"

namespace lathe::simd {
namespace {

constexpr int64_t kNarrowest = 8;  // columns below which tiles of the VM do as well

// Why `id` cannot be a factor, or nothing.
const char* refuse_factor(const Kernel& k, ScalarId id) {
  const Instr& in = k.body[static_cast<size_t>(id)];
  if (in.op != Scalar::Load || in.type != DType::f32) return "a factor is not a load of f32";
  if (!in.guards.empty() || !in.access.indirect.empty()) return "a factor's load is not plain";
  for (const IndexTerm& t : in.access.offset.terms)
    if (t.symbol >= k.derived_symbol(0)) return "a factor's offset is not affine in the ivs";
  return nullptr;
}

const char* refuse(const Kernel& k) {
  if (k.core != Core::Reduce || k.order != Order::Sequential) return "not a sequential reduction";
  if (k.reductions.size() != 1 || k.reductions[0].combine != Combine::Fma) return "not one fma";
  if (k.reductions[0].type != DType::f32) return "the sum is not f32";
  if (k.steps() == 0 || k.points() == 0) return "empty";
  for (ScalarId id : {k.reductions[0].a, k.reductions[0].b})
    if (const char* reason = refuse_factor(k, id)) return reason;
  for (size_t i = static_cast<size_t>(k.pre); i < k.body.size(); ++i)
    for (ScalarId a : k.body[i].args)
      if (a >= 0 && a < k.pre && k.body[static_cast<size_t>(a)].op != Scalar::Const)
        return "the reduction's values are used after it";
  return nullptr;
}

const IndexExpr& offset_of(const Kernel& k, ScalarId id) {
  return k.body[static_cast<size_t>(id)].access.offset;
}

// The iv that moves `mine` but not `other` and is best for vectors: contiguous in the result, long.
int choose_columns(const Kernel& k, const IndexExpr& mine, const IndexExpr& other, int* score) {
  int best = -1;
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i) {
    if (mine.coefficient(i) == 0 || other.coefficient(i) != 0) continue;
    const int64_t extent = k.par[static_cast<size_t>(i)];
    if (extent < kNarrowest) continue;
    int s = extent >= 32 ? 3 : 1;
    if (k.stores[0].access.offset.coefficient(i) == 1) s += 4;
    if (mine.coefficient(i) == 1) s += 1;
    if (s > *score) best = i, *score = s;
  }
  return best;
}

int choose_rows(const Kernel& k, const IndexExpr& a, const IndexExpr& b) {
  int best = -1;
  for (int i = 0; i < static_cast<int>(k.par.size()); ++i) {
    if (a.coefficient(i) == 0 || b.coefficient(i) != 0) continue;
    if (best < 0 || k.par[static_cast<size_t>(i)] > k.par[static_cast<size_t>(best)]) best = i;
  }
  return best;
}

Matrix matrix(const Kernel& k, ScalarId id, int along) {
  Matrix x;
  x.operand = k.body[static_cast<size_t>(id)].access.operand;
  x.offset = offset_of(k, id);
  x.along = along >= 0 ? x.offset.coefficient(along) : 0;
  if (k.red.size() == 1) {
    x.step = x.offset.coefficient(k.red_symbol(0));
    return x;
  }
  x.k_offsets = {0};
  for (size_t r = 0; r < k.red.size(); ++r) {
    const int64_t step = x.offset.coefficient(k.red_symbol(static_cast<int>(r)));
    std::vector<int64_t> next;
    for (int64_t o : x.k_offsets)
      for (int64_t i = 0; i < k.red[r]; ++i) next.push_back(o + i * step);
    x.k_offsets = std::move(next);
  }
  return x;
}

}  // namespace

Result<std::shared_ptr<const Contraction>> plan_contraction(const Canonical& c,
                                                            const Table& table) {
  const Kernel& k = c.kernel;
  if (const char* reason = refuse(k)) return failure("{}", reason);
  ScalarId a = k.reductions[0].a, b = k.reductions[0].b;
  int score = 0;
  int n = choose_columns(k, offset_of(k, b), offset_of(k, a), &score);
  const int other = choose_columns(k, offset_of(k, a), offset_of(k, b), &score);
  if (other >= 0) n = other, std::swap(a, b);
  if (n < 0) return failure("no iv of {} or more moves only one factor", kNarrowest);

  auto x = std::make_shared<Contraction>();
  x->table = &table;
  x->n = n;
  x->m = choose_rows(k, offset_of(k, a), offset_of(k, b));
  x->k = k.steps();
  x->a = matrix(k, a, x->m);
  x->b = matrix(k, b, n);
  x->plan = make_plan(c, table, n, true);
  return std::shared_ptr<const Contraction>(std::move(x));
}

}  // namespace lathe::simd
