#include "tests/support/gemm_kernel.h"

namespace lathe {
namespace {

ScalarId add(Kernel& k, Scalar op, ScalarId a = -1, ScalarId b = -1) {
  Instr in;
  in.op = op, in.type = k.operands[0].dtype, in.args = {a, b, -1};
  k.body.push_back(in);
  return static_cast<ScalarId>(k.body.size()) - 1;
}

ScalarId load(Kernel& k, int32_t operand, IndexExpr offset) {
  const ScalarId id = add(k, Scalar::Load);
  k.body.back().access = {operand, std::move(offset), {}};
  return id;
}

ScalarId constant(Kernel& k, double value) {
  const ScalarId id = add(k, Scalar::Const);
  k.body.back().number = value;
  return id;
}

// Operand <- keep * operand + (1 - keep) * x.
ScalarId decay(Kernel& k, int32_t operand, const IndexExpr& at, double keep, ScalarId x) {
  const ScalarId old = add(k, Scalar::Mul, load(k, operand, at), constant(k, keep));
  const ScalarId v = add(k, Scalar::Add, old, add(k, Scalar::Mul, x, constant(k, 1 - keep)));
  k.stores.push_back({{operand, at, {}}, v, Combine::Assign});
  return v;
}

void add_adam(Kernel& k, ScalarId gradient, const IndexExpr& at) {
  const Operand& out = k.operands[3];
  const Operand slot{out.dtype, out.size, OperandRole::InOut};
  k.operands.insert(k.operands.end(), 3, slot);
  const ScalarId m = decay(k, 4, at, 0.9, gradient);
  const ScalarId v = decay(k, 5, at, 0.999, add(k, Scalar::Mul, gradient, gradient));
  const ScalarId root = add(k, Scalar::Add, add(k, Scalar::Sqrt, v), constant(k, 1e-7));
  const ScalarId step = add(k, Scalar::Mul, add(k, Scalar::Div, m, root), constant(k, 1e-3));
  k.stores.push_back({{6, at, {}}, add(k, Scalar::Sub, load(k, 6, at), step), Combine::Assign});
}

}  // namespace

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
  load(k, 0, g.a_transposed ? r * g.m + m : m * g.k + r);
  load(k, 1, g.b_transposed ? n * g.k + r : r * g.n + n);
  k.pre = 2;
  k.reductions = {{Combine::Fma, t, 0, 1}};
  const IndexExpr at = m * g.n + n;
  ScalarId v = add(k, Scalar::Acc);
  if (g.epilogue > 0) {
    v = add(k, Scalar::Add, v, load(k, 2, n));
    v = add(k, Scalar::Max, v, constant(k, 0));
    for (int i = 1; i < g.epilogue; ++i) v = add(k, i % 2 ? Scalar::Mul : Scalar::Sub, v, v);
  }
  k.stores = {{{3, at, {}}, v, Combine::Assign}};
  if (g.adam) add_adam(k, v, at);
  return k;
}

}  // namespace lathe
