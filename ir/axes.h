// Lists of axes, as attributes of ops have them.
#pragma once

#include "ir/base/shape.h"

namespace lathe {

// from, from + 1, ..
Dims counting(int64_t from, size_t count);

// Where a permutation puts each axis: transpose(transpose(x, perm), inverse_perm(perm)) = x.
Dims inverse_perm(const Dims& perm);

// The axes of an operand of dot_general that are neither batches nor contracted, in order.
Dims free_axes(int rank, const Dims& batch, const Dims& contract);

}  // namespace lathe
