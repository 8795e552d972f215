// The loops behind runtime/roof.h, one file an ISA because each is compiled for its own.
#pragma once

#include <cstdint>

namespace lathe::roof {

// Runs `rounds` of multiply-adds on as many independent accumulators as hide the latency. Returns
// the number of operations done.
using Loop = int64_t (*)(int64_t rounds);
int64_t fma_scalar(int64_t rounds);
int64_t fma_sse42(int64_t rounds);
int64_t fma_avx2(int64_t rounds);
int64_t fma_avx512(int64_t rounds);
// u8 by s8, summed in i32.
int64_t bytes_vnni(int64_t rounds);
// Pairs of bf16, summed in f32.
int64_t pairs_bf16(int64_t rounds);

}  // namespace lathe::roof
