// Contractions: C[m, n] = sum over k of A[m, k] * B[k, n], followed by whatever the kernel computes
// from the sum, run by the tile VM on each finished row of a block. A convolution is one whose k
// are the taps and channels, whose rows are the pixels of an image row, and whose A has guards.
// Factors are f32, or
// bf16 or bytes that are widened as they are copied.
#pragma once

#include <memory>

#include "backends/simd/plan.h"

namespace lathe::simd {

// Element k of a row is at runs[k / run] + (k % run) * step.
struct Matrix {
  int32_t operand = 0;
  IndexExpr offset;
  int64_t along = 0;          // step of m (A) or n (B)
  int64_t step = 0;           // of k within a run
  int64_t run = 0;            // the last reduction iv; all of k where `runs` is empty
  std::vector<int64_t> runs;  // offset of each, where they are not `run * step` apart
  int32_t sign = 0;           // of bytes: 128 if they are signed
};

// Where it does not hold, A's element is zero and not read: convolutions' padding.
struct RowGuard {
  Guard guard;                  // its index at row 0 and k = 0 of the outer ivs
  int64_t along = 0;            // step of m
  int64_t step = 0;             // of k within a run
  std::vector<int64_t> runs;    // what each run adds, one for each of A's
  int64_t least = 0, most = 0;  // of what k adds
};

struct Contraction {
  Plan plan;  // what follows the reduction; its vector iv is n
  const Table* table = nullptr;
  int m = -1;  // parallel iv, or -1: one row
  int n = -1;
  int panels =
      -1;  // parallel iv that moves B alone, as n does, or -1; A is arranged once for all of it
  int64_t k = 0;
  Matrix a, b;
  std::vector<RowGuard> guards;
  std::vector<uint8_t> b_there;  // by k: whether B has it, else it is zero; empty: it has all
  bool flush = false;            // Combine::FmaFlush
  int fill = 0;                  // of A, where guards do not hold
};

// Refuses kernels of another form, with the reason. `factors`: f32 or bf16.
Result<std::shared_ptr<const Contraction>> plan_contraction(const Canonical& c, const Table& table,
                                                            DType factors);

// The same of a product of bytes (ir/byte_product.h).
Result<std::shared_ptr<const Contraction>> plan_byte_contraction(const Canonical& c,
                                                                 const Table& table);

// KernelFns; `context` is a Contraction of factors in f32, in bf16, or in bytes.
void run_contraction(void* const* args, int64_t begin, int64_t end, const void* context);
void run_bf16_contraction(void* const* args, int64_t begin, int64_t end, const void* context);
void run_byte_contraction(void* const* args, int64_t begin, int64_t end, const void* context);

}  // namespace lathe::simd
