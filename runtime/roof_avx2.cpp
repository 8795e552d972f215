#include "runtime/roof_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace lathe::roof {

int64_t fma_avx2(int64_t rounds) {
  constexpr int kAccumulators = 12;  // latency 4 or 5, two a cycle: at least 10; of 16 registers
  const __m256 factor = _mm256_set1_ps(0.9999f), term = _mm256_set1_ps(0.0001f);
  __m256 sum[kAccumulators];
  for (__m256& s : sum) s = _mm256_set1_ps(1.0f);
  for (int64_t round = 0; round < rounds; ++round)
    for (__m256& s : sum) s = _mm256_fmadd_ps(s, factor, term);
  volatile float keep = 0;
  for (__m256& s : sum) keep = keep + _mm256_cvtss_f32(s);
  return rounds * kAccumulators * 2 * 8;
}

}  // namespace lathe::roof
#endif
