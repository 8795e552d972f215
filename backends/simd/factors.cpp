#include "backends/simd/factors.h"

#include <algorithm>

namespace lathe::simd {
namespace {

bool affine(const Kernel& k, const IndexExpr& e) {
  return std::ranges::all_of(e.terms,
                             [&](const IndexTerm& t) { return t.symbol < k.derived_symbol(0); });
}

}  // namespace

const char* refuse_factor(const Kernel& k, ScalarId id, DType type) {
  const Instr& in = k.body[static_cast<size_t>(id)];
  if (in.op != Scalar::Load || compute_type(in.type) != DType::f32 ||
      k.operands[static_cast<size_t>(in.access.operand)].dtype != type)
    return "not a load of that type";
  if (!in.access.indirect.empty()) return "a load depends on data";
  if (!affine(k, in.access.offset)) return "an offset is not affine in the ivs";
  for (const int32_t g : in.guards)
    if (!affine(k, k.guards[static_cast<size_t>(g)].index))
      return "a guard is not affine in the ivs";
  return nullptr;
}

const char* refuse_reduction(const Kernel& k) {
  if (k.core != Core::Reduce || k.order != Order::Sequential) return "not a sequential reduction";
  if (k.reductions.size() != 1) return "several reductions";
  if (k.reductions[0].type != DType::f32) return "the sum is not f32";
  if (k.red.empty() || k.steps() == 0 || k.points() == 0) return "empty";
  for (size_t i = static_cast<size_t>(k.pre); i < k.body.size(); ++i)
    for (ScalarId a : k.body[i].args)
      if (a >= 0 && a < k.pre && k.body[static_cast<size_t>(a)].op != Scalar::Const)
        return "the reduction's values are used after it";
  return nullptr;
}

const char* refuse_product(const Kernel& k, DType factors) {
  if (const char* reason = refuse_reduction(k)) return reason;
  if (!is_fma(k.reductions[0].combine)) return "not an fma";
  for (ScalarId id : {k.reductions[0].a, k.reductions[0].b})
    if (const char* reason = refuse_factor(k, id, factors)) return reason;
  return nullptr;
}

const IndexExpr& factor_offset(const Kernel& k, ScalarId id) {
  return k.body[static_cast<size_t>(id)].access.offset;
}

bool guarded(const Kernel& k, ScalarId id) {
  return !k.body[static_cast<size_t>(id)].guards.empty();
}

bool decides(const Kernel& k, ScalarId id, int i) {
  return std::ranges::any_of(k.body[static_cast<size_t>(id)].guards, [&](GuardId g) {
    return k.guards[static_cast<size_t>(g)].index.coefficient(i) != 0;
  });
}

bool concerns(const Kernel& k, ScalarId id, int i) {
  return factor_offset(k, id).coefficient(i) != 0 || decides(k, id, i);
}

bool holds(const Guard& g, int64_t index) {
  return index >= 0 && index < g.limit && (g.multiple_of == 1 || index % g.multiple_of == 0);
}

void narrow(const Guard& g, int64_t at, int64_t step, int64_t* begin, int64_t* end) {
  const auto up = [](int64_t a, int64_t b) { return b == 1 ? a : a / b + (a % b > 0 ? 1 : 0); };
  // All have the remainder of the first.
  if (step == 0 ? !holds(g, at) : at % g.multiple_of != 0) *end = *begin;
  if (step == 0) return;
  *begin = std::max(*begin, step > 0 ? up(-at, step) : up(at - g.limit + 1, -step));
  *end = std::min(*end, step > 0 ? up(g.limit - at, step) : up(at + 1, -step));
}

int64_t index_at(const Kernel& k, const IndexExpr& e, const int64_t* symbols) {
  int64_t at = e.constant;
  for (const IndexTerm& t : e.terms)
    if (t.symbol < static_cast<SymbolId>(k.par.size())) at += t.coefficient * symbols[t.symbol];
  return at;
}

std::vector<int64_t> run_offsets(const Kernel& k, const IndexExpr& e) {
  std::vector<int64_t> out = {0};
  for (size_t r = 0; r + 1 < k.red.size(); ++r) {
    const int64_t step = e.coefficient(k.red_symbol(static_cast<int>(r)));
    std::vector<int64_t> next;
    for (const int64_t o : out)
      for (int64_t i = 0; i < k.red[r]; ++i) next.push_back(o + i * step);
    out = std::move(next);
  }
  return out;
}

int64_t step_of_k(const Kernel& k, const IndexExpr& e) {
  return e.coefficient(k.red_symbol(static_cast<int>(k.red.size()) - 1));
}

}  // namespace lathe::simd
