#include "frontend/nn/activation.h"

#include <numbers>
#include <utility>

namespace lathe::nn {
namespace {

constexpr std::pair<std::string_view, Activation> kNames[] = {
    {"linear", Activation::Linear},
    {"relu", Activation::Relu},
    {"relu6", Activation::Relu6},
    {"leaky_relu", Activation::LeakyRelu},
    {"elu", Activation::Elu},
    {"selu", Activation::Selu},
    {"gelu", Activation::Gelu},
    {"sigmoid", Activation::Sigmoid},
    {"hard_sigmoid", Activation::HardSigmoid},
    {"tanh", Activation::Tanh},
    {"softmax", Activation::Softmax},
    {"log_softmax", Activation::LogSoftmax},
    {"softplus", Activation::Softplus},
    {"softsign", Activation::Softsign},
    {"swish", Activation::Swish},
    {"silu", Activation::Swish},
    {"mish", Activation::Mish},
    {"exponential", Activation::Exponential},
};

Expr not_positive(const Expr& x) { return le(x, full_like(x, 0)); }
// min(x, 0), with derivative 1 at 0.
Expr negative_part(const Expr& x) { return select(not_positive(x), x, full_like(x, 0)); }

// x Phi(x). In f32 the error is below 1.5e-7, of large results relative to them.
Expr gelu(const Expr& x) { return x * 0.5 * (erf(x * (std::numbers::sqrt2 / 2)) + 1.0); }

// x - max along the axes: what both softmax forms exponentiate. Whatever is subtracted, the result
// is the same, so the maximum has no part in the gradient.
Expr shifted(const Expr& x, const Dims& axes) {
  return x - keep_axes(stop_gradient(reduce_max(x, axes)), axes);
}

}  // namespace

std::optional<Activation> parse_activation(std::string_view name) {
  for (const auto& [text, activation] : kNames)
    if (text == name) return activation;
  return std::nullopt;
}

Expr relu(const Expr& x) { return select(not_positive(x), full_like(x, 0), x); }

Expr leaky_relu(const Expr& x, double slope) { return select(not_positive(x), x * slope, x); }

Expr elu(const Expr& x, double alpha) {
  return select(not_positive(x), (exp(negative_part(x)) - 1.0) * alpha, x);
}

Expr softplus(const Expr& x) {
  const Expr falling = select(not_positive(x), x, neg(x));  // -|x|, with derivative 1 at 0
  return relu(x) + log(exp(falling) + 1.0);
}

Expr clip(const Expr& x, double low, double high) { return min(max(x, low), high); }

Expr softmax(const Expr& x, const Dims& axes) {
  const Expr e = exp(shifted(x, axes));
  return e / keep_axes(reduce_sum(e, axes), axes);
}

Expr log_softmax(const Expr& x, const Dims& axes) {
  const Expr z = shifted(x, axes);
  return z - keep_axes(log(reduce_sum(exp(z), axes)), axes);
}

Expr activate(Activation activation, const Expr& x) {
  switch (activation) {
    case Activation::Linear: return x;
    case Activation::Relu: return relu(x);
    case Activation::Relu6: return clip(x, 0, 6);
    case Activation::LeakyRelu: return leaky_relu(x, 0.2);
    case Activation::Elu: return elu(x, 1);
    case Activation::Selu: return elu(x, 1.6732632423543772) * 1.0507009873554805;
    case Activation::Gelu: return gelu(x);
    case Activation::Sigmoid: return sigmoid(x);
    case Activation::HardSigmoid: return clip(x * (1.0 / 6) + 0.5, 0, 1);
    case Activation::LegacyHardSigmoid: return clip(x * 0.2 + 0.5, 0, 1);
    case Activation::Tanh: return tanh(x);
    case Activation::Softmax: return softmax(x, {x.rank() - 1});
    case Activation::LogSoftmax: return log_softmax(x, {x.rank() - 1});
    case Activation::Softplus: return softplus(x);
    case Activation::Softsign: return x / (abs(x) + 1.0);
    case Activation::Swish: return x * sigmoid(x);
    case Activation::Mish: return x * tanh(softplus(x));
    case Activation::Exponential: return exp(x);
  }
  __builtin_unreachable();
}

}  // namespace lathe::nn
