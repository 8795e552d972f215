// Constant folding: nodes whose operands are all literals, or repeat literals, become literals, by
// reference evaluation.
#pragma once

#include "ir/graph.h"

namespace lathe {

// In regions too. A node stays where its result is larger than its operands (a repeated number
// stays a broadcast of one), where it would take long, and where it is control. Evaluated in double
// and rounded once to the element type: exact for arithmetic and square roots; exp, tanh and the
// like, sums and products of many numbers are nearer to the truth than what kernels compute.
// Reshapes and transposes move the bytes of literals of any size.
Graph fold_constants(const Graph& g);

}  // namespace lathe
