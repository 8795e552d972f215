// A graph of floats as the same graph of doubles: what its results would be without rounding, for
// comparing gradients with differences (tools/gradients.h).
#pragma once

#include "ir/graph.h"

namespace lathe {

// Every f16, bf16 and f32 becomes f64: inputs, literals, attributes, regions. Ops on the bits of a
// float (bitcast) have no such form; they are a user error naming the node.
Graph widen(const Graph& g);

}  // namespace lathe
