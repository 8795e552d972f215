#include "runtime/roof_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace lathe::roof {

int64_t fma_avx512(int64_t rounds) {
  constexpr int kAccumulators = 16;  // latency 4 or 5, two a cycle: at least 10; of 32 registers
  const __m512 factor = _mm512_set1_ps(0.9999f), term = _mm512_set1_ps(0.0001f);
  __m512 sum[kAccumulators];
  for (__m512& s : sum) s = _mm512_set1_ps(1.0f);
  for (int64_t round = 0; round < rounds; ++round)
    for (__m512& s : sum) s = _mm512_fmadd_ps(s, factor, term);
  volatile float keep = 0;
  for (__m512& s : sum) keep = keep + _mm512_cvtss_f32(s);
  return rounds * kAccumulators * 2 * 16;
}

}  // namespace lathe::roof
#endif
