// The oracle ladder of design.md, as a check of one graph.
#pragma once

#include <string>
#include <vector>

#include "ir/graph.h"

namespace lathe {

// Runs g (static shapes) by reference evaluation and by every backend, ISA this CPU has, and 1 and
// 2 threads. Empty if the interpreter is within `tolerance` (relative to the largest magnitude of
// each output, at least 1) of the reference and all else equals the interpreter to the bit (sse42:
// within the tolerance); else what differed first.
// `every_isa`: LLVM for all ISAs, else for the best alone (compiling takes most of the time).
std::string climb_ladder(const Graph& g, const std::vector<Tensor>& inputs, double tolerance,
                         bool every_isa = true);

// What sets the results apart from those of reference evaluation by more than `tolerance` (as
// above; 16-bit floats may round the other way besides); empty if nothing does.
std::string compare_with_reference(const std::vector<Tensor>& results,
                                   const std::vector<Tensor>& reference, double tolerance);

// g with the gradients of the sum of its float outputs with respect to all float inputs.
Graph with_gradients(const Graph& g);

}  // namespace lathe
