// Calls that share nothing with those right before them.
#pragma once

#include "ir/base/target.h"
#include "ir/program.h"

namespace lathe {

// Marks calls that threads may work on together with the calls before (Step::joins): neither reads
// or writes what the other writes. The columns that whole panels of a product leave, the branches
// of a residual block, queries, keys and values: threads meet once after all of them instead of
// after each. Only where one of the calls is split at all; memory has been planned.
void join_calls(Program& p, const Target& target);

}  // namespace lathe
