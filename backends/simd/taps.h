// Reductions whose operands advance with the vector iv: sums of products of two (depthwise
// convolutions), and folds of one (pooling). All taps of a point of the other ivs are folded in
// registers, instead of one tile after the other through memory; points whose taps lie apart alike
// (pixels of an image row, away from its ends) share pointers and what the second operand gives.
#pragma once

#include <memory>

#include "backends/simd/contraction.h"

namespace lathe::simd {

struct Taps {
  Plan plan;  // what follows the reduction
  TapsFn fold = nullptr;
  float identity = 0;
  int vector = 1;  // floats
  float fill = 0;  // of a's elements where a guard does not hold; they are not read
  int m = -1;      // the last parallel iv but the vector one: rows that are finished together
  struct Operand {
    int32_t index = -1;  // none
    IndexExpr offset;
    std::vector<int64_t> taps;  // what each adds to the offset
  };
  Operand a, b;
  struct TapGuard {
    Guard guard;
    std::vector<int64_t> taps;  // what each adds to the index
    int64_t least = 0, most = 0;
  };
  std::vector<TapGuard> guards;
};

// Refuses kernels of another form, with the reason.
Result<std::shared_ptr<const Taps>> plan_taps(const Canonical& c, const Table& table);

// A KernelFn; `context` is a Taps.
void run_taps(void* const* args, int64_t begin, int64_t end, const void* context);

}  // namespace lathe::simd
