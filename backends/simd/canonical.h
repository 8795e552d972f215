// Fewer, longer loops: the same kernel with ivs of extent 1 dropped and neighbouring ivs joined
// where every index expression allows it, so that tiles are long.
#pragma once

#include "ir/kernel.h"

namespace lathe::simd {

struct Canonical {
  Kernel kernel;
  int parallel = -1;  // iv of `kernel` that the caller's range splits; -1: the range is ignored
  int64_t scale = 1;  // values of that iv for one value of the caller's
};

Canonical canonicalize(const Kernel& k, const KernelSchedule& s);

}  // namespace lathe::simd
