#include "tests/support/gemm_kernel.h"

namespace lathe {

Kernel gemm_kernel(const GemmShape& g) {
  const DType t = g.type;
  Kernel k;
  k.operands = {{t, g.m * g.k, OperandRole::In},
                {t, g.k * g.n, OperandRole::In},
                {t, g.n, OperandRole::In},
                {t, g.m * g.n, OperandRole::Out}};
  k.par = {g.m, g.n};
  k.red = {g.k};
  k.core = Core::Reduce;
  const auto m = IndexExpr::symbol(0), n = IndexExpr::symbol(1), r = IndexExpr::symbol(2);
  const auto add = [&](Scalar op, ScalarId a = -1, ScalarId b = -1) {
    Instr in;
    in.op = op, in.type = t, in.args = {a, b, -1};
    k.body.push_back(in);
    return static_cast<ScalarId>(k.body.size()) - 1;
  };
  const auto load = [&](int32_t operand, IndexExpr offset) {
    const ScalarId id = add(Scalar::Load);
    k.body.back().access = {operand, std::move(offset), {}};
    return id;
  };
  load(0, g.a_transposed ? r * g.m + m : m * g.k + r);
  load(1, g.b_transposed ? n * g.k + r : r * g.n + n);
  k.pre = 2;
  k.reductions = {{Combine::Fma, t, 0, 1}};
  ScalarId v = add(Scalar::Acc);
  if (g.epilogue > 0) {
    v = add(Scalar::Add, v, load(2, n));
    const ScalarId zero = add(Scalar::Const);
    v = add(Scalar::Max, v, zero);
    for (int i = 1; i < g.epilogue; ++i) v = add(i % 2 ? Scalar::Mul : Scalar::Sub, v, v);
  }
  k.stores = {{{3, m * g.n + n, {}}, v, Combine::Assign}};
  return k;
}

}  // namespace lathe
