// The one way to change a graph: copy it, node by node, into a new one.
//
// Copying visits only what the outputs reach (dead code goes), and adding to the new graph merges
// equal nodes (common subexpressions go). A pass supplies `visit`, which may build something else
// for a node.
#pragma once

#include <functional>
#include <optional>

#include "ir/expr.h"

namespace lathe {

class Rebuilder {
 public:
  // For a node of the source with its operands already in the target, gives the replacement of all
  // its results, or nullopt to copy it. Called for all nodes but parameters.
  using Visit = std::function<std::optional<std::vector<Expr>>(
      const Graph& source, uint32_t node, const std::vector<Expr>& operands, Graph& target)>;

  // Inputs and output names, roles and aliases are kept.
  static Graph run(const Graph& source, const Visit& visit = {});

  // As run, but the outputs are `outputs` (values of the source).
  static Graph run(const Graph& source, const std::vector<GraphOutput>& outputs,
                   const Visit& visit = {});
};

// Nodes that `roots` reach, by node id.
std::vector<bool> reachable(const Graph& g, const std::vector<Value>& roots);

// Substitutes numbers for symbols everywhere, regions included. All input symbols must be bound; a
// missing or unknown one is a user error that lists what is needed.
Graph bind_dims(const Graph& g, const DimBinding& binding);

// Applies fn to every region, innermost first, keeping the graph otherwise.
Graph map_regions(const Graph& g, const std::function<Graph(const Graph&)>& fn);

}  // namespace lathe
