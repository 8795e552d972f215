// Products of bf16 as kernels, for tests and measurements of the code that they get.
#pragma once

#include "ir/kernel.h"

namespace lathe {

struct Bf16Shape {
  int64_t m, n, k;
  bool b_transposed = false;  // b is [taps, n, k] instead of [taps, k, n]
  bool interleaved = false;   // b is [taps, k / 2, n, 2], the last pair filled up
  int64_t taps = 1;           // row i is taps rows of `a` from row i - taps / 2 on, 0 outside of it
  bool halved = false;        // c is bf16, of half the sums, instead of f32
};

// Operands: a [m, k], b, c [m, n]. Parallel ivs m, n; the last two reduction ivs are the pairs and
// the steps of one (passes/pair_steps.cpp).
Kernel bf16_kernel(const Bf16Shape& shape);

}  // namespace lathe
