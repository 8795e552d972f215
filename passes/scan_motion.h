// Moves work out of scans: what every step repeats, and what only adds up over the steps.
#pragma once

#include "ir/graph.h"

namespace lathe {

// In regions too. For each scan, in this order:
//   1. A carry that starts as zeros and is only added to, `carry' = carry + dot_general(a, b)` or
//      `+ reduce_sum(a)` (several such terms, transposed or reshaped ones too), goes away: a and b
//      are stacked, and one contraction after the loop has time among its contracting axes. This
//      sums in another order than the steps did. It is how the gradient of a recurrent layer's
//      weights becomes one matrix product.
//   2. A dot_general that reads a constant operand along the operand's last axis gets it
//      transposed, or to panels, so that 3 lays it out once in the order in which every step reads
//      it.
//   3. Nodes that depend on the constants only become constants themselves, computed once before
//      the loop; except views that a kernel reads through for nothing (broadcast, reshape, slice).
// The scan's other results keep their bits.
Graph move_out_of_scans(const Graph& g);

}  // namespace lathe
