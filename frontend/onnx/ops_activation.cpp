// Activation functions.
#include "frontend/nn/activation.h"
#include "frontend/onnx/formulas.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

void relu(OpContext& c) {
  c.ignore({"consumed_inputs"});
  c.out(nn::relu(c.expr(0)));
}

void leaky_relu(OpContext& c) {
  c.ignore({"consumed_inputs"});
  c.out(nn::leaky_relu(c.expr(0), c.attr_float("alpha", 0.01)));
}

// The slope broadcasts to x; before version 7 a list is one slope for each channel.
void prelu(OpContext& c) {
  c.ignore({"consumed_inputs"});
  const Expr x = c.expr(0);
  Expr slope = c.expr(1);
  if (c.version() < 7 && slope.rank() == 1 && x.rank() > 1 && slope.shape().element_count() > 1)
    slope = along(slope, 1, x.rank());
  c.out(select(lt(x, full_like(x, 0)), x * slope, x));
}

void elu(OpContext& c) {
  c.ignore({"consumed_inputs"});
  c.out(nn::elu(c.expr(0), c.attr_float("alpha", 1)));
}

void selu(OpContext& c) {
  c.ignore({"consumed_inputs"});
  const bool first = c.version() < 6;
  const double alpha = c.attr_float("alpha", first ? 1.6732 : 1.67326319217681884765625);
  c.out(nn::elu(c.expr(0), alpha) *
        c.attr_float("gamma", first ? 1.0507 : 1.05070102214813232421875));
}

void celu(OpContext& c) {
  const Expr x = c.expr(0);
  const double alpha = c.attr_float("alpha", 1);
  c.out(max(x, 0) + min((exp(x / alpha) - 1.0) * alpha, 0));
}

void thresholded_relu(OpContext& c) {
  const Expr x = c.expr(0), zero = full_like(x, 0);
  c.out(select(lt(full_like(x, c.attr_float("alpha", 1)), x), x, zero));
}

void hard_sigmoid(OpContext& c) {
  c.ignore({"consumed_inputs"});
  const double alpha = c.attr_float("alpha", 0.2);
  c.out(nn::clip(c.expr(0) * alpha + c.attr_float("beta", 0.5), 0, 1));
}

Expr hard_swish(const Expr& x) { return x * nn::clip(x * (1.0 / 6) + 0.5, 0, 1); }
Expr softsign(const Expr& x) { return x / (abs(x) + 1.0); }
Expr mish(const Expr& x) { return x * tanh(nn::softplus(x)); }

void swish(OpContext& c) {
  const Expr x = c.expr(0);
  c.out(x * sigmoid(x * c.attr_float("alpha", 1)));
}

// x below -lambd moves up by bias, above lambd down, between them is 0.
void shrink(OpContext& c) {
  const Expr x = c.expr(0), zero = full_like(x, 0);
  const double bias = c.attr_float("bias", 0), lambd = c.attr_float("lambd", 0.5);
  const Expr low = select(lt(x, -lambd), x + bias, zero);
  c.out(select(gt(x, full_like(x, lambd)), x - bias, low));
}

// Over one axis; before version 13 over all axes from `axis` on.
Dims softmax_axes(OpContext& c, int rank) {
  const int64_t axis = c.attr_int("axis", c.version() < 13 ? 1 : -1);
  if (c.version() >= 13) return {c.axis(axis, rank)};
  if (axis == rank) return {};
  return range(c.axis(axis, rank), rank);
}

void softmax(OpContext& c) {
  const Expr x = c.expr(0);
  c.out(nn::softmax(x, softmax_axes(c, x.rank())));
}

void log_softmax(OpContext& c) {
  const Expr x = c.expr(0);
  c.out(nn::log_softmax(x, softmax_axes(c, x.rank())));
}

// 1 at the first of the largest.
void hardmax(OpContext& c) {
  const Expr x = c.expr(0);
  const Dims axes = softmax_axes(c, x.rank());
  Dims dims = x.shape().static_dims();
  int64_t outer = 1, inner = 1;  // the axes are next to each other
  for (int64_t i = 0; i < std::ssize(dims); ++i)
    if (axes.empty() || i < axes.front()) outer *= dims[static_cast<size_t>(i)];
  for (int64_t i = axes.empty() ? std::ssize(dims) : axes.back() + 1; i < std::ssize(dims); ++i)
    inner *= dims[static_cast<size_t>(i)];
  const int64_t count = outer * inner == 0 ? 0 : element_count(dims) / (outer * inner);
  const Expr flat = reshape(x, Shape{outer, count, inner});
  const Expr most = keep_axes(reduce_max(flat, {1}), {1});
  const Expr at = iota(c.graph(), DType::i64, flat.shape(), 1);
  const Expr first =
      keep_axes(reduce_min(select(eq(flat, most), at, full_like(at, 1e15)), {1}), {1});
  c.out(reshape(cast(eq(at, first), x.dtype()), x.shape()));
}

Expr gelu_of(OpContext& c, const Expr& x) {
  const std::string how = c.attr_text("approximate", "none");
  if (how == "none") return exact_gelu(x);
  if (how != "tanh") fail("approximate is '{}', expected none or tanh", how);
  return tanh_gelu(x);
}

void gelu(OpContext& c) { c.out(gelu_of(c, c.expr(0))); }

// Gated activations: f(a) * b, of one shape.
Operands gated(OpContext& c) {
  if (c.dims(0) != c.dims(1))
    fail("A is {} and B {}; one shape was expected", c.input(0).signature(),
         c.input(1).signature());
  return {widened(c.expr(0)), widened(c.expr(1))};
}

void swiglu(OpContext& c) {
  const auto [a, b] = gated(c);
  c.out(cast(a * sigmoid(a * c.attr_float("alpha", 1)) * b, c.dtype(0)));
}

void geglu(OpContext& c) {
  const auto [a, b] = gated(c);
  c.out(cast(gelu_of(c, a) * b, c.dtype(0)));
}

constexpr OpRow kRows[] = {
    {"Celu", 12, celu},
    {"Elu", 1, elu},
    {"GeGLU", 29, geglu},
    {"Gelu", 20, gelu},
    {"HardSigmoid", 1, hard_sigmoid},
    {"HardSwish", 14, unary<hard_swish>},
    {"Hardmax", 1, hardmax},
    {"LeakyRelu", 1, leaky_relu},
    {"LogSoftmax", 1, log_softmax},
    {"Mish", 18, unary<mish>},
    {"PRelu", 1, prelu},
    {"Relu", 1, relu},
    {"Selu", 1, selu},
    {"Shrink", 9, shrink},
    {"Sigmoid", 1, unary<sigmoid>},
    {"Softmax", 1, softmax},
    {"Softplus", 1, unary<nn::softplus>},
    {"Softsign", 1, unary<softsign>},
    {"SwiGLU", 28, swiglu},
    {"Swish", 24, swish},
    {"ThresholdedRelu", 10, thresholded_relu},
};

}  // namespace

std::span<const OpRow> activation_rows() { return kRows; }

}  // namespace lathe::onnx
