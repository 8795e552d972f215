// Moving the elements of a tensor into another order.
#pragma once

#include "ir/base/tensor.h"

namespace lathe {

// A new tensor of `dims` whose element at an index is that of `t` at offset + sum of
// index * strides, counted in elements. Precondition: all of them lie inside.
Tensor gather_strided(const Tensor& t, Dims dims, const Dims& strides, int64_t offset = 0);

}  // namespace lathe
