#include "runtime/roof_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace lathe::roof {

int64_t pairs_bf16(int64_t rounds) {
  constexpr int kAccumulators = 16;  // latency 6, one or two a cycle; of 32 registers
  const __m512i ones = _mm512_set1_epi16(0x3f80);
  const auto left = reinterpret_cast<__m512bh>(ones), right = left;
  __m512 sum[kAccumulators];
  for (__m512& s : sum) s = _mm512_setzero_ps();
  for (int64_t round = 0; round < rounds; ++round)
    for (__m512& s : sum) s = _mm512_dpbf16_ps(s, left, right);
  volatile float keep = 0;
  for (__m512& s : sum) keep = keep + _mm512_cvtss_f32(s);
  return rounds * kAccumulators * 2 * 32;
}

}  // namespace lathe::roof
#endif
