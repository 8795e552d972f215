// Reverse-mode differentiation: builds the gradient of a scalar, or of a whole region, as ordinary
// graph nodes. Knows no op but `add` (how cotangents of one value combine); everything else is the
// ops' own `vjp` hooks. The result can be differentiated again.
#pragma once

#include "ir/vjp.h"

namespace lathe {

struct Gradients {
  // Where the primal computation's results are to be taken from: hooks of control ops may have
  // replaced nodes by versions that also save what the backward pass needs. Apply with `replaced`.
  std::vector<std::pair<Value, Value>> replacements;
  // One per element of `wrt`; zeros where the scalar does not depend on it.
  std::vector<Expr> of;
};

// Adds to g the cotangents of `wrt` given those of `outputs` (`seeds`, of the same types). An op on
// the way that has no gradient is a user error naming the op, its node and the reason.
Gradients add_gradients(Graph& g, const std::vector<Expr>& outputs, const std::vector<Expr>& seeds,
                        const std::vector<Expr>& wrt);

// Rebuilds g with every use of a replaced value redirected; outputs are `outputs`.
Graph apply_replacements(const Graph& g, const std::vector<GraphOutput>& outputs,
                         const std::vector<std::pair<Value, Value>>& replacements);

// The graph that returns g's outputs, then the gradients of output `loss` (a scalar) with respect
// to the inputs `wrt` (indices).
Graph gradient_graph(const Graph& g, int loss, const std::vector<int>& wrt);

// A user error where something float that the outputs `of` (indices) depend on comes from the
// inputs `wrt` through integers alone, naming the node: quantised values, positions that are
// computed. The derivative there is 0 wherever it exists, which add_gradients takes it for.
void check_differentiable(const Graph& g, const std::vector<int>& of, const std::vector<int>& wrt);

// See RegionGradient.
RegionGradient differentiate_region(const Graph& region, const std::vector<bool>& wanted);

}  // namespace lathe
