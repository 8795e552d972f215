// Loops over blocks of rows where a whole would be far larger than what it is made of and becomes:
// attention without its matrix of scores. The values inside of a region (passes/row_region.h) then
// exist for one block at a time, of a size that stays in L2, and memory is linear in the tokens.
//
// Each row is computed as before, in the same order, so results keep their bits; sums over rows (in
// gradients of keys and values) become sums of the blocks' sums.
#pragma once

#include "passes/row_region.h"

namespace lathe {

Graph block_rows(const Graph& g);
Graph block_rows(const Graph& g, const RowLimits& limits);

}  // namespace lathe
