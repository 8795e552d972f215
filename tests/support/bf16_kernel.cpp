#include "tests/support/bf16_kernel.h"

#include "passes/kernel_passes.h"

namespace lathe {
namespace {

ScalarId add(Kernel& k, Scalar op, DType t, ScalarId a = -1, ScalarId b = -1) {
  Instr in;
  in.op = op, in.type = t, in.args = {a, b, -1};
  k.body.push_back(in);
  return static_cast<ScalarId>(k.body.size()) - 1;
}

}  // namespace

Kernel bf16_kernel(const Bf16Shape& s) {
  Kernel k;
  const int64_t pairs = (s.k + 1) / 2;
  const int64_t b_size = s.taps * s.n * (s.interleaved ? 2 * pairs : s.k);
  k.operands = {{DType::bf16, s.m * s.k, OperandRole::In},
                {DType::bf16, b_size, OperandRole::In},
                {s.halved ? DType::bf16 : DType::f32, s.m * s.n, OperandRole::Out}};
  k.par = {s.m, s.n};
  k.core = Core::Reduce;
  if (s.taps > 1) k.red = {s.taps};
  k.red.push_back(s.k);
  const auto m = IndexExpr::symbol(0), n = IndexExpr::symbol(1);
  const auto tap = s.taps > 1 ? IndexExpr::symbol(2) : IndexExpr();
  const auto step = IndexExpr::symbol(s.taps > 1 ? 3 : 2);
  const IndexExpr row = m + tap + IndexExpr(-(s.taps / 2));
  for (int32_t operand : {0, 1}) {
    add(k, Scalar::Load, DType::bf16);
    k.body.back().access.operand = operand;
  }
  k.body[0].access.offset = row * s.k + step;
  k.body[1].access.offset = tap * (s.n * s.k) + (s.b_transposed ? n * s.k + step : step * s.n + n);
  if (s.taps > 1) k.guards = {{row, s.m, 1}}, k.body[0].guards = {0};
  k.reductions = {{Combine::FmaFlush, DType::f32, 0, 1}};
  k.pre = 2;
  ScalarId v = add(k, Scalar::Acc, DType::f32);
  if (s.halved) {
    const ScalarId half = add(k, Scalar::Const, DType::f32);
    k.body.back().number = 0.5;
    v = add(k, Scalar::Cast, DType::bf16, add(k, Scalar::Mul, DType::f32, v, half));
  }
  k.stores = {{{2, m * s.n + n, {}}, v, Combine::Assign}};
  pair_steps(k);
  if (!s.interleaved) return k;
  const SymbolId second = k.red_symbol(static_cast<int>(k.red.size()) - 1);
  k.body[1].access.offset = tap * (2 * pairs * s.n) + IndexExpr::symbol(second - 1) * (2 * s.n) +
                            n * 2 + IndexExpr(1) + IndexExpr::symbol(second) * -1;
  k.body[1].guards.clear();
  return k;
}

}  // namespace lathe
