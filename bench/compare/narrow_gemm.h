// Products of bytes summed in i32 and of bf16 summed in f32, as bench/narrow_gemm_bench.cpp asks an
// engine for them.
#pragma once

#include <functional>

#include "bench/compare/gemm.h"
#include "ir/base/tensor.h"

namespace lathe::compare {

// Row-major a [m, k] and b [k, n], of i8 or u8 or both of bf16; c [m, n] of i32 or f32. b stays as
// it is: an engine may pack it ahead.
struct NarrowGemm {
  GemmShape shape;
  Tensor a, b;
  DType sum;
  void* c;
};

// oneDNN's matmul, b in the format it prefers: everything that is done once, and then the call that
// is timed. Threads are OpenMP's: OMP_NUM_THREADS.
std::function<void()> prepare_onednn(const NarrowGemm& gemm);

}  // namespace lathe::compare
