// Random tensor contents.
#pragma once

#include "ir/base/tensor.h"
#include "tests/support/random.h"

namespace lathe {

// Small: floats in [-2, 2], integers in [-9, 9] or [0, 9].  Unit: floats in [0.5, 2].
// Wild: a tenth of the floats zeros of both signs, infinities, NaNs, subnormals and huge values;
// integers any bits.
enum class Fill { Small, Unit, Wild };

void fill(Tensor& t, Fill kind, Random& random);
// An f32 tensor of Fill::Small.
Tensor small_noise(const Dims& dims, uint64_t seed);

}  // namespace lathe
