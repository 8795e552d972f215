// The invariants of a graph.
//
//   1. A node's operands are results of earlier nodes; it has the operands, regions and kind of
//      attributes that its op's record asks for.
//   2. Its types are what the op's `infer` gives.
//   3. Its regions verify, and read nothing but their own inputs.
//   4. Inputs and parameter nodes are in one-to-one correspondence, of equal type.
//   5. Outputs are values of the graph; one that updates an input has its type, and no input is
//      updated twice.
#pragma once

#include "ir/base/error.h"
#include "ir/graph.h"

namespace lathe {

// True, or what is wrong first, followed by the text around the failing node.
Result<bool> verify_graph(const Graph& g);

}  // namespace lathe
