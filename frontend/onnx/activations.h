// Activation functions that the attributes of recurrent ops name.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/expr.h"

namespace lathe::onnx {

using CellActivation = std::function<Expr(const Expr&)>;

// By the standard's names, in any case. Functions with constants take the next of `alpha` and of
// `beta`, and where a list has ended the defaults of the op of their name.
std::vector<CellActivation> cell_activations(const std::vector<std::string>& names,
                                             const std::vector<double>& alpha,
                                             const std::vector<double>& beta);

}  // namespace lathe::onnx
