// The leaf loops for avx512; the flags are set in backends/CMakeLists.txt.
#define LATHE_SIMD_NAMESPACE simd_avx512
#define LATHE_SIMD_ARCH xsimd::avx512bw
#include "backends/simd/arch.inl"

namespace lathe::simd {
const Table& table_avx512() { return simd_avx512::kTable; }
}  // namespace lathe::simd
