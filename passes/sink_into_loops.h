// Products of which a loop reads one slice a step are computed slice by slice.
#pragma once

#include "ir/base/target.h"
#include "ir/program.h"

namespace lathe {

// A kernel that computes, along one of its parallel ivs, what the iterations of a later loop read
// (the projected inputs of a recurrent layer, all steps at once) is called in the loop for one
// value of that iv: its result stays in a core's cache instead of going through memory, and takes a
// slice of the arena. Where a slice has too few rows for a product of its own, or all of it stays
// in cache, nothing changes. Every element is computed as before, to the bit.
void sink_into_loops(Program& p, const Target& target);

}  // namespace lathe
