#include "runtime/roof_kernels.h"

namespace lathe::roof {

int64_t fma_scalar(int64_t rounds) {
  constexpr int kAccumulators = 6;  // products and as many sums, in 16 registers
  float product[kAccumulators], sum[kAccumulators];
  for (int i = 0; i < kAccumulators; ++i) product[i] = sum[i] = 1.0f;
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kAccumulators; ++i) {
      product[i] *= 0.9999f;
      sum[i] += 0.0001f;
    }
  }
  volatile float keep = 0;
  for (int i = 0; i < kAccumulators; ++i) keep = keep + product[i] + sum[i];
  return rounds * kAccumulators * 2;
}

}  // namespace lathe::roof
