// What a loop carries, in one place where that is enough.
#pragma once

#include "ir/base/target.h"
#include "ir/program.h"

namespace lathe {

// A carry alternates between two slots (passes/lower.cpp). Where the kernel that computes its next
// value reads the last one only at the element that it stores, and nothing reads the last one later
// in the iteration, both are one: sums that a loop adds to take half the memory, and half of the
// cache, and lines that are written have been read. Loads and stores are those of before.
void carry_in_place(Program& p, const Target& target);

}  // namespace lathe
