// The xsimd backend: runs any kernel, tile by tile, without generating code.
//
//   contraction   one f32 Fma reduction over two plain loads: packed panels and register tiles
//   tile VM       everything else: each scalar of the kernel becomes one short vector loop over a
//                 tile of some hundred elements along one iv, values living in L1-sized buffers
//
// Results equal the interpreter's to the bit on FMA machines (avx2, avx512). On sse42 Fma rounds
// twice (mul, then add); that is the only difference.
#pragma once

#include "backends/backend.h"

namespace lathe {

// Accepts every verified kernel; refuses Isa::scalar, for which nothing is built here.
// The returned function allocates only thread-local scratch, on a thread's first call.
Result<CompiledKernel> simd_kernel(const Kernel& k, const KernelSchedule& s, const Target& target);

}  // namespace lathe
