// Temporaries that are written over what they are computed from.
#pragma once

#include "ir/base/target.h"
#include "ir/program.h"

namespace lathe {

// Where a kernel is the last to read a temporary, and reads it only at the element that it stores,
// its result takes that temporary's place: the cache holds one tensor instead of two, and the lines
// that are written are there. Loads and stores are those of before.
void write_over(Program& p, const Target& target);

}  // namespace lathe
