#include "tests/support/convolution_kernel.h"

namespace lathe {
namespace {

class Builder {
 public:
  ScalarId add(Scalar op, ScalarId a = -1, ScalarId b = -1) {
    Instr in;
    in.op = op, in.type = DType::f32, in.args = {a, b, -1};
    k.body.push_back(in);
    return static_cast<ScalarId>(k.body.size()) - 1;
  }
  ScalarId load(int32_t operand, IndexExpr offset) {
    const ScalarId id = add(Scalar::Load);
    k.body.back().access = {operand, std::move(offset), {}};
    return id;
  }
  // Of a value that padding surrounds.
  void guard(const IndexExpr& row, int64_t rows, const IndexExpr& column, int64_t columns) {
    k.guards = {{row, rows}, {column, columns}};
    k.body.back().guards = {0, 1};
  }
  // max(sum + bias, 0), further steps, and the store.
  Kernel finish(const IndexExpr& bias, const IndexExpr& at, int steps) {
    k.core = Core::Reduce;
    k.pre = 2;
    k.reductions = {{Combine::Fma, DType::f32, 0, 1}};
    ScalarId v = add(Scalar::Add, add(Scalar::Acc), load(2, bias));
    v = add(Scalar::Max, v, add(Scalar::Const));
    for (int i = 0; i < steps; ++i) v = add(i % 2 ? Scalar::Mul : Scalar::Sub, v, v);
    k.stores = {{{3, at, {}}, v, Combine::Assign}};
    return std::move(k);
  }

  Kernel k;
};

IndexExpr symbol(SymbolId id) { return IndexExpr::symbol(id); }

// Where a window's tap lies.
IndexExpr place(SymbolId position, SymbolId tap, int64_t stride, int64_t window) {
  return symbol(position) * stride + symbol(tap) + IndexExpr(-(window / 2));
}

int64_t positions(int64_t size, int64_t stride) { return (size - 1) / stride + 1; }

}  // namespace

Kernel depthwise_kernel(const DepthwiseShape& s) {
  Builder b;
  const int64_t rows = positions(s.height, s.stride), columns = positions(s.width, s.stride);
  b.k.operands = {{DType::f32, s.height * s.width * s.channels, OperandRole::In},
                  {DType::f32, s.window * s.window * s.channels, OperandRole::In},
                  {DType::f32, s.channels, OperandRole::In},
                  {DType::f32, rows * columns * s.channels, OperandRole::Out}};
  b.k.par = {rows, columns, s.channels};
  b.k.red = {s.window, s.window};
  const IndexExpr channel = symbol(2), y = place(0, 3, s.stride, s.window),
                  x = place(1, 4, s.stride, s.window);
  b.load(0, y * (s.width * s.channels) + x * s.channels + channel);
  b.guard(y, s.height, x, s.width);
  b.load(1, symbol(3) * (s.window * s.channels) + symbol(4) * s.channels + channel);
  return b.finish(channel, symbol(0) * (columns * s.channels) + symbol(1) * s.channels + channel,
                  s.epilogue);
}

Kernel image_kernel(const ImageShape& s) {
  Builder b;
  const int64_t rows = positions(s.size, s.stride), taps = s.window * s.window;
  b.k.operands = {{DType::f32, s.channels * s.size * s.size, OperandRole::In},
                  {DType::f32, s.channels * taps * s.filters, OperandRole::In},
                  {DType::f32, s.filters, OperandRole::In},
                  {DType::f32, rows * rows * s.filters, OperandRole::Out}};
  b.k.par = {rows, rows, s.filters};
  b.k.red = {s.channels, s.window, s.window};
  if (s.channels_last) b.k.red = {s.window, s.window, s.channels};
  const SymbolId row = s.channels_last ? 3 : 4, channel = s.channels_last ? 5 : 3;
  const IndexExpr filter = symbol(2), y = place(0, row, s.stride, s.window),
                  x = place(1, row + 1, s.stride, s.window);
  if (s.channels_last) b.load(0, (y * s.size + x) * s.channels + symbol(channel));
  else b.load(0, symbol(channel) * (s.size * s.size) + y * s.size + x);
  b.guard(y, s.size, x, s.size);
  b.load(1, symbol(channel) * (taps * s.filters) + symbol(row) * (s.window * s.filters) +
                symbol(row + 1) * s.filters + filter);
  return b.finish(filter, symbol(0) * (rows * s.filters) + symbol(1) * s.filters + filter, 0);
}

}  // namespace lathe
