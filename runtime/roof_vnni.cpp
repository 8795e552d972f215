#include "runtime/roof_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

namespace lathe::roof {

int64_t bytes_vnni(int64_t rounds) {
  constexpr int kAccumulators = 16;  // latency 4 or 5, one or two a cycle; of 32 registers
  const __m512i left = _mm512_set1_epi8(3), right = _mm512_set1_epi8(-5);
  __m512i sum[kAccumulators];
  for (__m512i& s : sum) s = _mm512_setzero_si512();
  for (int64_t round = 0; round < rounds; ++round)
    for (__m512i& s : sum) s = _mm512_dpbusd_epi32(s, left, right);
  volatile int keep = 0;
  for (__m512i& s : sum) keep = keep + _mm512_cvtsi512_si32(s);
  return rounds * kAccumulators * 2 * 64;
}

}  // namespace lathe::roof
#endif
