// The gradient of a convolution's input, and transposed convolutions, as convolutions.
#pragma once

#include "ir/graph.h"

namespace lathe {

// fold(product) with stride 1, where the product's left side has the windows' positions and its
// right side their taps, or the reverse: instead of writing out every tap's share and adding them
// up (col2im), the left side's windows are multiplied by the right side with its taps reversed. The
// same products are added in another order. Left alone where the windows would be many more than
// the positions were, as for a large kernel without padding.
Graph fold_products(const Graph& g);

}  // namespace lathe
