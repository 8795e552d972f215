// Products of bytes as kernels, for tests and measurements of the code that they get.
#pragma once

#include "ir/kernel.h"

namespace lathe {

struct ByteShape {
  int64_t m, n, k;
  DType a = DType::u8, b = DType::i8;
  bool b_transposed = false;  // b is [taps, n, k] instead of [taps, k, n]
  int64_t group = 1;          // more: b is [taps, k / group, n, group], the last group filled up
  // Row i is taps rows of `a` from row i - taps / 2 on, and `fill` where there are none.
  int64_t taps = 1;
  int fill = 0;
  bool requantised = false;  // c is u8, scaled and clamped, instead of the i32 sums
};

// Operands: a [m, k], b, c [m, n]. Parallel ivs m, n; the last reduction iv is k.
Kernel byte_kernel(const ByteShape& shape);

}  // namespace lathe
