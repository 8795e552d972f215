// Contractions: C[m, n] = sum over k of A[m, k] * B[k, n], followed by whatever the kernel computes
// from the sum, run by the tile VM on each finished row of a block.
#pragma once

#include <memory>

#include "backends/simd/plan.h"

namespace lathe::simd {

struct Matrix {
  int32_t operand = 0;
  IndexExpr offset;
  int64_t along = 0;               // step of m (A) or n (B)
  int64_t step = 0;                // of k, where there is one reduction iv
  std::vector<int64_t> k_offsets;  // of each k, where there are several
};

struct Contraction {
  Plan plan;  // what follows the reduction; its vector iv is n
  const Table* table = nullptr;
  int m = -1;  // parallel iv, or -1: one row
  int n = -1;
  int64_t k = 0;
  Matrix a, b;
};

// Refuses kernels of another form, with the reason.
Result<std::shared_ptr<const Contraction>> plan_contraction(const Canonical& c, const Table& table);

// A KernelFn; `context` is a Contraction.
void run_contraction(void* const* args, int64_t begin, int64_t end, const void* context);

}  // namespace lathe::simd
