// How many random cases a test runs. Sanitizers make all but the code that LLVM emits several times
// slower, and what they look for shows in few cases: there it is a tenth.
#pragma once

#include <cstdint>

namespace lathe::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

constexpr uint64_t random_cases(uint64_t usual) { return kSanitized ? usual / 10 : usual; }

}  // namespace lathe::testing
