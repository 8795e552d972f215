// Memory planning: places temporaries in one arena and removes copies.
#pragma once

#include "ir/base/target.h"
#include "ir/program.h"

namespace lathe {

// Lets a kernel write an updated input in place of computing aside and copying, where nothing reads
// the old value later and the kernel reads it only at the element it stores.
void write_updates_in_place(Program& p, const Target& target);

// Gives every arena buffer an offset, so that buffers alive at the same time do not overlap. A
// buffer lives from its first to its last use; one used inside a loop and outside of it, for the
// whole loop. Greedy by size (Pisarchyk & Lee, "Efficient memory management for deep neural net
// inference", 2020).
void plan_memory(Program& p, const Target& target);

}  // namespace lathe
