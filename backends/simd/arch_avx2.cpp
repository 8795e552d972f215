// The leaf loops for avx2; the flags are set in backends/CMakeLists.txt.
#define LATHE_SIMD_NAMESPACE simd_avx2
#define LATHE_SIMD_ARCH xsimd::fma3<xsimd::avx2>
#include "backends/simd/arch.inl"

namespace lathe::simd {
const Table& table_avx2() { return simd_avx2::kTable; }
}  // namespace lathe::simd
