// What values an integer scalar of a kernel takes, as far as its definition shows: the proof that
// gather and scatter indices were limited.
#pragma once

#include "ir/kernel_bounds.h"

namespace lathe {

// Precondition: %id is of an integer type or bool, and everything before it is well typed.
// Follows constants, index values, min, max, add, sub, mul, select and casts; a result that might
// wrap, and every other scalar, has its type's whole range.
Interval integer_range(const Kernel& k, ScalarId id);

}  // namespace lathe
