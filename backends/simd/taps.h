// Sums of products in which both factors advance with the vector iv: depthwise convolutions. All
// taps of a point of the other ivs are folded in registers, instead of one tile after the other
// through memory.
#pragma once

#include <memory>

#include "backends/simd/contraction.h"

namespace lathe::simd {

struct Taps {
  Plan plan;  // what follows the reduction
  const Table* table = nullptr;
  int m = -1;  // the last parallel iv but the vector one: rows that are finished together
  IndexExpr a, b;
  int32_t a_operand = 0, b_operand = 0;
  std::vector<int64_t> a_offsets, b_offsets;  // of each tap
  struct TapGuard {
    Guard guard;
    std::vector<int64_t> taps;  // what each adds to the index
    int64_t least = 0, most = 0;
  };
  std::vector<TapGuard> guards;  // where one does not hold, a's elements are zero and not read
};

// Refuses kernels of another form, with the reason.
Result<std::shared_ptr<const Taps>> plan_taps(const Canonical& c, const Table& table);

// A KernelFn; `context` is a Taps.
void run_taps(void* const* args, int64_t begin, int64_t end, const void* context);

}  // namespace lathe::simd
