#include "frontend/onnx/formulas.h"

#include "frontend/nn/activation.h"

namespace lathe::onnx {

Expr exact_gelu(const Expr& x) { return nn::activate(nn::Activation::Gelu, x); }

Expr tanh_gelu(const Expr& x) {
  constexpr double kScale = 0.7978845608028654;  // sqrt(2 / pi)
  return x * 0.5 * (tanh((x + x * x * x * 0.044715) * kScale) + 1.0);
}

Moments moments(const Expr& x, const Dims& axes) {
  const Expr mean = keep_axes(reduce_mean(x, axes), axes);
  const Expr centered = x - mean;
  return {mean, keep_axes(reduce_mean(centered * centered, axes), axes)};
}

Standardised standardised(const Expr& x, const Dims& axes, double epsilon) {
  const auto [mean, variance] = moments(x, axes);
  const Expr inverse = 1.0 / sqrt(variance + epsilon);
  return {(x - mean) * inverse, mean, inverse};
}

}  // namespace lathe::onnx
