// What a causal mask hides: columns of a region's products that contribute nothing to some rows.
#pragma once

#include "passes/row_region.h"

namespace lathe {

// The least c such that, of rows [begin, end), columns from c on are -inf where a maximum is taken
// of them and 0 where they are summed; all of them where that is not known from the graph, by
// intervals of what is computed from iotas. Scores, keys and values are taken for finite: a NaN or
// an infinity that is hidden makes NaN of 0 times it, and is not read where the columns are left
// out.
int64_t visible_columns(const Graph& g, const RowRegion& r, int64_t begin, int64_t end);

}  // namespace lathe
