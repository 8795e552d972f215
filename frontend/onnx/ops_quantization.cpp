// Quantisation. Products are summed in i32, exactly; results are scaled in the scales' precision.
#include "frontend/onnx/matmul.h"
#include "frontend/onnx/row.h"
#include "frontend/onnx/stored.h"
#include "frontend/onnx/window.h"

namespace lathe::onnx {
namespace {

// How a scale or zero point goes with x: one for all, one for each index of an axis, or one for
// each block of an axis.
struct Granularity {
  int64_t axis = 0, block = 0;
};

Granularity granularity(OpContext& c) {
  Granularity how;
  how.axis = c.attr_int("axis", 1);
  how.block = c.attr_int("block_size", 0);
  if (how.block < 0 || how.block >= int64_t{1} << 31) fail("block_size is {}", how.block);
  return how;
}

Expr spread(OpContext& c, const Expr& p, const Expr& x, const Granularity& how) {
  if (p.shape().element_count() == 1) return reshape(p, Shape{});
  const int64_t axis = c.axis(how.axis, x.rank());
  const int64_t n = x.shape()[static_cast<int>(axis)].value();
  if (how.block == 0) {
    if (p.rank() != 1 || p.shape().element_count() != n)
      fail("{} does not fit axis {} of {}", p.type().text(), axis, x.type().text());
    return along(p, axis, x.rank());
  }
  Dims blocks = x.shape().static_dims();
  blocks[static_cast<size_t>(axis)] = (n + how.block - 1) / how.block;
  if (!(p.shape() == Shape(blocks)))
    fail("{} does not fit {} in blocks of {} along axis {}", p.type().text(), x.type().text(),
         how.block, axis);
  Dims repeated = blocks;
  repeated.insert(repeated.begin() + axis + 1, how.block);
  const Expr all = broadcast_to(expand_dims(p, axis + 1), Shape(repeated));
  blocks[static_cast<size_t>(axis)] *= how.block;
  return slice_axis(reshape(all, Shape(blocks)), axis, 0, n);
}

// f16 and bf16 are rounded to at every step that the standard computes in them.
Expr rounded_as(const Expr& x, DType type) { return widened(cast(x, type)); }

// Real numbers to quantised ones; without a zero point it is 0.
Expr quantised(const Expr& real, const Expr& zero_point, ElemType to, const CastRules& rules) {
  if (is_float(carrier(to))) {
    const bool shifted = to == ElemType::Float4E2M1 && zero_point.defined();
    return cast_to_elem(shifted ? real + cast(zero_point, real.dtype()) : real, to, rules);
  }
  Expr steps = round_even(real);
  if (zero_point.defined()) steps = steps + cast(zero_point, steps.dtype());
  const auto low = static_cast<double>(lowest_of(to)), high = static_cast<double>(largest_of(to));
  return cast(min(max(steps, low), high), carrier(to));
}

void quantize_linear(OpContext& c) {
  const Expr x = c.expr(0), scale = c.expr(1);
  const Granularity how = granularity(c);
  const CastRules rules{.saturate = c.attr_int("saturate", 1) != 0};
  ElemType to = elem_type(c.attr_int("output_dtype", 0));
  if (c.has(2)) {
    if (to != ElemType::Undefined && to != c.elem(2))
      fail("output_dtype is {}, the zero point is {}", name(to), name(c.elem(2)));
    to = c.elem(2);
  }
  if (to == ElemType::Undefined) to = ElemType::UInt8;
  const ElemType precision = elem_type(c.attr_int("precision", 0));
  const DType type = precision == ElemType::Undefined ? scale.dtype() : carrier(precision);
  if (!is_float(type)) fail("a division in {}", name(type));
  const Expr divisor = rounded_as(spread(c, scale, x, how), type);
  const Expr real = rounded_as(rounded_as(x, type) / divisor, type);
  c.out(quantised(real, c.has(2) ? spread(c, c.expr(2), x, how) : Expr(), to, rules), to);
}

void dequantize_linear(OpContext& c) {
  const Expr q = c.expr(0), scale = c.expr(1);
  const Granularity how = granularity(c);
  const ElemType given = elem_type(c.attr_int("output_dtype", 0));
  const ElemType to = given == ElemType::Undefined ? c.elem(1) : given;
  const DType wide = scale.dtype() == DType::f64 ? DType::f64 : DType::f32;
  Expr x = cast(q, wide);
  if (c.has(2)) x = x - cast(spread(c, c.expr(2), q, how), wide);
  c.out(cast_to_elem(x * cast(spread(c, scale, q, how), wide), to), to);
}

// x in steps of 1/255 of its range, which is made to hold 0.
void dynamic_quantize_linear(OpContext& c) {
  const Expr x = c.expr(0);
  const Dims all = range(0, x.rank());
  const Expr most = max(reduce_max(x, all), 0.0), least = min(reduce_min(x, all), 0.0);
  const Expr extent = most - least;
  const Expr scale = select(eq(extent, 0), full_like(extent, 1), extent / 255.0);
  const Expr zero_point = quantised(-least / scale, {}, ElemType::UInt8, {});
  c.out(quantised(x / scale, zero_point, ElemType::UInt8, {}));
  c.out(scale);
  c.out(zero_point);
}

// q less its zero point, in a type that holds the difference: operands of an exact product.
Expr centred(const Expr& q, const Expr& zero_point) {
  if (is_float(q.dtype()) || !zero_point.defined()) return q;
  if (q.dtype() != zero_point.dtype())
    fail("{} with a zero point {}", q.type().text(), zero_point.type().text());
  const DType wide = byte_size(q.dtype()) == 1 ? DType::i16 : DType::i32;
  return cast(q, wide) - cast(zero_point, wide);
}

DType sum_type(const Expr& a) { return is_float(a.dtype()) ? DType::f32 : DType::i32; }

// One for all, or one for each row of a: as a column.
Expr for_rows(const Expr& p) { return p.rank() == 1 ? expand_dims(p, 1) : p; }

void matmul_integer(OpContext& c) {
  const Expr a = centred(c.expr(0), c.has(2) ? for_rows(c.expr(2)) : Expr());
  c.out(numpy_matmul(a, centred(c.expr(1), c.has(3) ? c.expr(3) : Expr()), DType::i32));
}

// The multiplier of a sum of products.
Expr requantised(OpContext& c, const Expr& sum, const Expr& scale) {
  const Expr real = cast(sum, DType::f32) * (scale / cast(c.expr(6), DType::f32));
  return quantised(real, c.expr(7), c.elem(7), {});
}

void qlinear_matmul(OpContext& c) {
  const Expr a = centred(c.expr(0), for_rows(c.expr(2))), b = centred(c.expr(3), c.expr(5));
  const Expr scale = for_rows(cast(c.expr(1), DType::f32)) * cast(c.expr(4), DType::f32);
  c.out(requantised(c, numpy_matmul(a, b, sum_type(a)), scale), c.elem(7));
}

// One for all, or one for each output channel of the weights.
Expr for_channels(const Expr& p, int64_t axis, int64_t rank) {
  return p.shape().element_count() == 1 ? reshape(p, Shape{}) : along(p, axis, rank);
}

// x and w: already centred.
Expr integer_convolution(OpContext& c, const Expr& x, const Expr& w, int weights) {
  if (w.rank() < 3) fail("its weights are {}", w.type().text());
  const Dims dw = c.dims(weights);
  const Window window = read_window(c, c.dims(0), Dims(dw.begin() + 2, dw.end()));
  return convolve(x, w, window, c.attr_int("group", 1), DType::i32);
}

void conv_integer(OpContext& c) {
  const Expr x = centred(c.expr(0), c.has(2) ? for_channels(c.expr(2), 1, c.rank(0)) : Expr());
  const Expr w = centred(c.expr(1), c.has(3) ? for_channels(c.expr(3), 0, c.rank(1)) : Expr());
  c.out(integer_convolution(c, x, w, 1));
}

void qlinear_conv(OpContext& c) {
  const int64_t rank = c.rank(0);
  const Expr x = centred(c.expr(0), for_channels(c.expr(2), 1, rank));
  const Expr w = centred(c.expr(3), for_channels(c.expr(5), 0, rank));
  Expr sum = integer_convolution(c, x, w, 3);
  if (c.has(8)) sum = sum + along(c.expr(8), 1, rank);
  const Expr scale = for_channels(c.expr(1), 1, rank) * for_channels(c.expr(4), 1, rank);
  c.out(requantised(c, sum, scale), c.elem(7));
}

constexpr OpRow kRows[] = {
    {"ConvInteger", 10, conv_integer},
    {"DequantizeLinear", 10, dequantize_linear, nullptr, false},
    {"DynamicQuantizeLinear", 11, dynamic_quantize_linear},
    {"MatMulInteger", 10, matmul_integer},
    {"QLinearConv", 10, qlinear_conv},
    {"QLinearMatMul", 10, qlinear_matmul},
    {"QuantizeLinear", 10, quantize_linear},
};

}  // namespace

std::span<const OpRow> quantization_rows() { return kRows; }

}  // namespace lathe::onnx
