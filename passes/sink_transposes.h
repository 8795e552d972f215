// Layouts, chosen over the whole graph: convolutions give their results channels last, as their
// kernels write them, under a transpose that restores the model's order. Here these transposes sink
// through what does not care about the order of axes, until they meet their inverse, a view that
// kernels read through, or a place where the model's order is really wanted.
#pragma once

#include "ir/graph.h"

namespace lathe {

// A transpose of a contraction's or reduction's result moves past elementwise ops, concat, pad and
// slice, and past pooling, whose windows are then reduced in the order of the operand.
Graph sink_transposes(const Graph& g);

}  // namespace lathe
