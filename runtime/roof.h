// The roofs of this machine: what no kernel can exceed, measured rather than looked up.
#pragma once

#include "runtime/cpu.h"
#include "runtime/thread_pool.h"

namespace lathe {

// One column of the roofline: medians of several samples on `threads` threads.
struct Roof {
  int threads = 1;
  double gflops = 0;       // f32 multiply-adds in registers, two operations each, in 1e9/s
  double byte_gops = 0;    // the same of u8 by s8 into i32; 0 without AVX512-VNNI
  double bf16_gflops = 0;  // the same of bf16 by bf16 into f32; 0 without AVX512-BF16
  double read_gbs = 0;     // summing an array larger than the caches, in 1e9 bytes/s
  double copy_gbs = 0;     // copying such an array; bytes read plus bytes written, in 1e9 bytes/s
};

// Measures on `threads` (at least 1, at most pool.threads()) threads of `pool` with the vectors of
// `isa`, which the CPU must have. Takes about 0.3 s and 128 MiB.
Roof measure_roof(ThreadPool& pool, int threads, Isa isa);

}  // namespace lathe
