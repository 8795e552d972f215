// Activation functions as graph formulas, with Keras' names and constants.
#pragma once

#include <optional>
#include <string_view>

#include "ir/expr.h"

namespace lathe::nn {

enum class Activation : uint8_t {
  Linear,
  Relu,
  Relu6,
  LeakyRelu,  // slope 0.2
  Elu,
  Selu,
  Gelu,  // x * Phi(x), by erf
  Sigmoid,
  HardSigmoid,        // clip(x/6 + 1/2, 0, 1)
  LegacyHardSigmoid,  // Keras 2: clip(x/5 + 1/2, 0, 1)
  Tanh,
  Softmax,  // over the last axis
  LogSoftmax,
  Softplus,
  Softsign,
  Swish,
  Mish,
  Exponential,
};

// By Keras' name ("hard_sigmoid"; "silu" is "swish").
std::optional<Activation> parse_activation(std::string_view name);

Expr activate(Activation activation, const Expr& x);

// max(x, 0) whose derivative at 0 is 0; NaN stays NaN.
Expr relu(const Expr& x);
Expr leaky_relu(const Expr& x, double slope);
Expr elu(const Expr& x, double alpha);
Expr softplus(const Expr& x);  // log(1 + exp(x)) without overflow
Expr clip(const Expr& x, double low, double high);
// Over the axes together.
Expr softmax(const Expr& x, const Dims& axes);
Expr log_softmax(const Expr& x, const Dims& axes);

}  // namespace lathe::nn
