// Gradients of a model against differences.
//
// The loss is a random linear form of the model's float outputs. Its gradient with respect to all
// weights and float inputs is computed in double, and along random directions compared with central
// differences, in double too: f(x + hd) - f(x - hd) over 2h with h = 1e-6 and d about the size of
// x. A step as small crosses few kinks, and those shift the difference by as little as h. On a kink
// itself there is no derivative, and real models stand on many (equal pixels under a maximum, dead
// filters before a Relu), so the point is the model's weights and the case's inputs, each number
// moved by up to 1 %. Weights of one element (exponents, epsilons) are held.
#pragma once

#include "tools/outcome.h"

namespace lathe::tools {

struct GradientCheck {
  struct Along {
    std::string of;  // "weights", "inputs", or one weight's name
    double slope = 0, difference = 0;
    double error() const;  // relative
  };
  std::vector<Along> along;
  double rounding = 0;  // of the gradients in the model's own types, against those in double
};

// `values` holds the model's data inputs. Where there is no gradient, the error names the node and
// the reason, and nothing has run.
GradientCheck check_gradients(const Model& model, const Feeds& values, const Compute& compute);

// Of a case with an ONNX model that is one graph. Passed: the reason lists the errors.
Outcome check_case_gradients(const CheckCase& c, const CheckOptions& o);

}  // namespace lathe::tools
