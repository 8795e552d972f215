// Sums of products of bf16, as kernels say them (passes/pair_steps.cpp): machines have instructions
// for the two products of a pair, which want the factors of both side by side.
#pragma once

#include <optional>

#include "ir/kernel.h"

namespace lathe {

// acc = fma_flush(a, b, acc) of bf16 each, whose last two reduction ivs are the pairs and the two
// steps of a pair, the second step first. `b` varies along the parallel iv n; `a` does not, and
// walks memory along the steps, all of which have the same guards but for a missing last one.
struct PairProduct {
  ScalarId a = -1, b = -1;   // the loads
  int64_t steps = 0;         // odd: the last pair has one
  bool interleaved = false;  // the steps of a pair lie side by side in b, then the next column's
  int64_t step = 1;          // of b in memory, where they do not
};

std::optional<PairProduct> pair_product(const Kernel& k, SymbolId n);

}  // namespace lathe
