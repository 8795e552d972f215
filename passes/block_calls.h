// Calls that follow each other and agree on what a row is are made block by block of rows.
#pragma once

#include "ir/base/target.h"
#include "ir/program.h"

namespace lathe {

// Softmax, a normalisation and their gradients are several kernels, each of which goes through all
// rows. Where those outgrow L2, every kernel fetches them from memory again. Such calls become an
// independent loop over blocks of rows: what one kernel leaves the next finds in L2, threads take
// whole blocks, and a temporary that nothing else reads is as large as a block. Calls belong
// together where each buffer that one of them writes is touched by all of them at the same row
// alone. Every row is computed as before, to the bit.
void block_calls(Program& p, const Target& target);

}  // namespace lathe
