// Random numbers as formulas: a counter-based generator (Philox), so that a key and a step give the
// same numbers on any number of threads and every backend.
#pragma once

#include "ir/expr.h"

namespace lathe {

// Philox 2x32-10 of (element, step): u64 values below 2^32, one for each element of `shape`. `step`
// is a u64 scalar of the graph; of it and of the element's number the low 32 bits count.
Expr random_words(const Expr& step, uint32_t key, const Shape& shape);

// Floats in [0, 1) of such words: multiples of 2^-24.
Expr uniform_floats(const Expr& words);

}  // namespace lathe
