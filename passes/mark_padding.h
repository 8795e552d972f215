// Products by an image's padding that change nothing.
#pragma once

#include "ir/base/parallel.h"
#include "ir/base/target.h"
#include "ir/program.h"

namespace lathe {

// Marks sums of products whose padding may be left out (Reduction::padded): a window over an image
// multiplies weights by zeros where it lies outside, up to 18 % of a 3x3 convolution's products at
// 7x7. Such a product is a zero if the weight is finite, and adding zeros to a sum changes at most
// the sign of a sum that is zero itself. So weights must be literals without infinities and NaN,
// and what follows must lose that sign: adding a literal without -0, a bias. Results keep their
// bits.
void mark_padding(Program& p, const Target& target, const ParallelFor& parallel = serial_for);

}  // namespace lathe
