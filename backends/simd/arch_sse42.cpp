// The leaf loops for sse42; the flags are set in backends/CMakeLists.txt.
#define LATHE_SIMD_NAMESPACE simd_sse42
#define LATHE_SIMD_ARCH xsimd::sse4_2
#include "backends/simd/arch.inl"

namespace lathe::simd {
const Table& table_sse42() { return simd_sse42::kTable; }
}  // namespace lathe::simd
