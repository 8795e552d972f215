// Sums by Combine::FmaFlush: the CPU takes subnormals as zeros, and gives none, while one of these
// lives. Its rule for results is that of fma_flush in ir/scalar_eval.h.
#pragma once

#include <xmmintrin.h>

namespace lathe::simd {

class FlushScope {
 public:
  explicit FlushScope(bool flush) : flush_(flush) {
    constexpr unsigned kDenormalsAreZero = 0x40, kFlushToZero = 0x8000;
    if (!flush) return;
    before_ = _mm_getcsr();
    _mm_setcsr(before_ | kDenormalsAreZero | kFlushToZero);
  }
  ~FlushScope() {
    if (flush_) _mm_setcsr(before_);
  }
  FlushScope(const FlushScope&) = delete;
  FlushScope& operator=(const FlushScope&) = delete;

 private:
  const bool flush_;
  unsigned before_ = 0;
};

}  // namespace lathe::simd
