// Copies of the factors of a contraction as its register tiles read them, widened to the type of
// the sums.
#pragma once

#include <xmmintrin.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "backends/simd/contraction.h"

namespace lathe::simd {

// Of factors of T. Bytes are u8, or i8 as Matrix::sign says.
template <class T>
using SumOf = std::conditional_t<std::is_same_v<T, uint8_t>, int32_t, float>;

inline float widened(float x, const Matrix&) { return x; }
inline float widened(BFloat16 x, const Matrix&) { return bf16_to_float(x.bits); }
inline int32_t widened(uint8_t x, const Matrix& of) { return (int32_t{x} ^ of.sign) - of.sign; }

inline int64_t k_offset(const Matrix& x, int64_t k) {
  if (x.runs.empty()) return k * x.step;
  return x.runs[static_cast<size_t>(k / x.run)] + k % x.run * x.step;
}

// to[k][0..width) from four columns and four k at a time; B is contiguous along k.
inline void pack_transposed(float* to, const float* b, int64_t along, int64_t columns, int64_t k,
                            int64_t width) {
  int64_t j = 0;
  for (; j + 4 <= columns; j += 4) {
    const float* from = b + j * along;
    int64_t i = 0;
    for (; i + 4 <= k; i += 4) {
      __m128 r0 = _mm_loadu_ps(from + i), r1 = _mm_loadu_ps(from + along + i);
      __m128 r2 = _mm_loadu_ps(from + 2 * along + i), r3 = _mm_loadu_ps(from + 3 * along + i);
      _MM_TRANSPOSE4_PS(r0, r1, r2, r3);
      float* t = to + i * width + j;
      _mm_storeu_ps(t, r0);
      _mm_storeu_ps(t + width, r1);
      _mm_storeu_ps(t + 2 * width, r2);
      _mm_storeu_ps(t + 3 * width, r3);
    }
    for (; i < k; ++i)
      for (int64_t c = 0; c < 4; ++c) to[i * width + j + c] = from[c * along + i];
  }
  for (; j < columns; ++j)
    for (int64_t i = 0; i < k; ++i) to[i * width + j] = b[j * along + i];
}

// The panel of k in [k0, k0 + k) and `columns` columns; missing columns are zero.
template <class T>
void pack_panel(SumOf<T>* to, const T* b, const Matrix& x, const std::vector<uint8_t>& there,
                int64_t columns, int64_t k0, int64_t k, int64_t width) {
  if (columns < width) std::memset(to, 0, static_cast<size_t>(k * width) * sizeof(*to));
  if constexpr (std::is_same_v<T, float>)
    if (x.step == 1 && x.runs.empty() && x.along != 1 && there.empty())
      return pack_transposed(to, b + k0, x.along, columns, k, width);
  for (int64_t i = 0; i < k; ++i) {
    SumOf<T>* row = to + i * width;
    if (!there.empty() && !there[static_cast<size_t>(k0 + i)]) {
      std::fill_n(row, columns, 0);
      continue;
    }
    const T* from = b + k_offset(x, k0 + i);
    if constexpr (std::is_same_v<T, float>)
      if (x.along == 1) {
        std::memcpy(row, from, static_cast<size_t>(columns) * sizeof(float));
        continue;
      }
    if (x.along == 1)
      for (int64_t j = 0; j < columns; ++j) row[j] = widened(from[j], x);
    else
      for (int64_t j = 0; j < columns; ++j) row[j] = widened(from[j * x.along], x);
  }
}

}  // namespace lathe::simd
