#include "tests/support/depthwise_kernel.h"

namespace lathe {

Kernel depthwise_kernel(const DepthwiseShape& s) {
  Kernel k;
  const auto add = [&k](Scalar op, ScalarId a = -1, ScalarId b = -1) {
    Instr in;
    in.op = op, in.type = DType::f32, in.args = {a, b, -1};
    k.body.push_back(in);
    return static_cast<ScalarId>(k.body.size()) - 1;
  };
  const auto load = [&](int32_t operand, IndexExpr offset) {
    const ScalarId id = add(Scalar::Load);
    k.body.back().access = {operand, std::move(offset), {}};
    return id;
  };
  const int64_t rows = (s.height - 1) / s.stride + 1, columns = (s.width - 1) / s.stride + 1;
  k.operands = {{DType::f32, s.height * s.width * s.channels, OperandRole::In},
                {DType::f32, s.window * s.window * s.channels, OperandRole::In},
                {DType::f32, s.channels, OperandRole::In},
                {DType::f32, rows * columns * s.channels, OperandRole::Out}};
  k.par = {rows, columns, s.channels};
  k.red = {s.window, s.window};
  k.core = Core::Reduce;
  const auto symbol = [](SymbolId id) { return IndexExpr::symbol(id); };
  const IndexExpr channel = symbol(2), padding(-(s.window / 2));
  const IndexExpr y = symbol(0) * s.stride + symbol(3) + padding,
                  x = symbol(1) * s.stride + symbol(4) + padding;
  k.guards = {{y, s.height}, {x, s.width}};
  load(0, y * (s.width * s.channels) + x * s.channels + channel);
  k.body.back().guards = {0, 1};
  load(1, symbol(3) * (s.window * s.channels) + symbol(4) * s.channels + channel);
  k.pre = 2;
  k.reductions = {{Combine::Fma, DType::f32, 0, 1}};
  ScalarId v = add(Scalar::Add, add(Scalar::Acc), load(2, channel));
  v = add(Scalar::Max, v, add(Scalar::Const));
  for (int i = 0; i < s.epilogue; ++i) v = add(i % 2 ? Scalar::Mul : Scalar::Sub, v, v);
  k.stores = {{{3, symbol(0) * (columns * s.channels) + symbol(1) * s.channels + channel, {}},
               v,
               Combine::Assign}};
  return k;
}

}  // namespace lathe
