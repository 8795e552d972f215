// How a parameter is updated, as graph formulas: what frontends provide and the training step uses.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/expr.h"

namespace lathe {

// How one parameter is updated. `slots` are tensors of the parameter's type that live as long as it
// (moments), zero at first.
struct Optimizer {
  std::string name;
  std::vector<std::string> slots;
  // Scalars that all parameters' updates share (such as a bias correction), from the number of this
  // step (f64 scalar, 1 for the first) and the learning rate (f32 scalar).
  std::function<std::vector<Expr>(const Expr& step, const Expr& learning_rate)> prepare;
  // The new parameter, then the new slots.
  std::function<std::vector<Expr>(const Expr& parameter, const Expr& gradient,
                                  const std::vector<Expr>& slots, const std::vector<Expr>& shared)>
      update;
};

}  // namespace lathe
