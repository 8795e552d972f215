// Formulas of ai.onnx's ops that fused ones of other domains contain.
#pragma once

#include "ir/expr.h"

namespace lathe::onnx {

Expr exact_gelu(const Expr& x);  // x/2 * (1 + erf(x / sqrt 2))
Expr tanh_gelu(const Expr& x);   // its approximation by tanh

struct Moments {
  Expr mean, variance;  // with the axes kept
};
Moments moments(const Expr& x, const Dims& axes);

// (x - mean) / sqrt(variance + epsilon) over the axes.
struct Standardised {
  Expr y, mean, inverse;  // inverse: 1 / sqrt(variance + epsilon)
};
Standardised standardised(const Expr& x, const Dims& axes, double epsilon);

}  // namespace lathe::onnx
