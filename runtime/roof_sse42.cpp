#include "runtime/roof_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace lathe::roof {

// Without FMA a multiply-add is two instructions. Here they are independent: that is the roof.
int64_t fma_sse42(int64_t rounds) {
  constexpr int kAccumulators = 6;  // products and as many sums, in 16 registers
  const __m128 factor = _mm_set1_ps(0.9999f), term = _mm_set1_ps(0.0001f);
  __m128 product[kAccumulators], sum[kAccumulators];
  for (int i = 0; i < kAccumulators; ++i) product[i] = sum[i] = _mm_set1_ps(1.0f);
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kAccumulators; ++i) {
      product[i] = _mm_mul_ps(product[i], factor);
      sum[i] = _mm_add_ps(sum[i], term);
    }
  }
  volatile float keep = 0;
  for (int i = 0; i < kAccumulators; ++i)
    keep = keep + _mm_cvtss_f32(product[i]) + _mm_cvtss_f32(sum[i]);
  return rounds * kAccumulators * 2 * 4;
}

}  // namespace lathe::roof
#endif
