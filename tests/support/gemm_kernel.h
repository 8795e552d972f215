// Matrix products as kernels, for tests and measurements of the code that contractions get.
#pragma once

#include "ir/kernel.h"

namespace lathe {

struct GemmShape {
  int64_t m, n, k;
  bool a_transposed = false;  // a is [k, m] instead of [m, k]
  bool b_transposed = false;  // b is [n, k] instead of [k, n]
  int epilogue = 0;           // 0: none; 1: max(x + bias[n], 0); more: so many steps of arithmetic
  // The product is also the gradient of a parameter that Adam updates in place with its moments, as
  // in a training step (but with a fixed rate).
  bool adam = false;
  DType type = DType::f32;
};

// Operands: a, b, bias[n], out[m, n], and with adam both moments and the parameter, [m, n] each.
// Parallel ivs m, n; reduction iv k.
Kernel gemm_kernel(const GemmShape& shape);

}  // namespace lathe
