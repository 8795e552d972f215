// What passes and backends may know of the machine: plain data, filled by the runtime from cpuid or
// by the user for another machine.
#pragma once

#include <cstdint>
#include <string_view>

namespace lathe {

enum class Isa : uint8_t { scalar, sse42, avx2, avx512 };  // avx2 includes FMA and F16C

constexpr std::string_view name(Isa isa) {
  switch (isa) {
    case Isa::scalar: return "scalar";
    case Isa::sse42: return "sse42";
    case Isa::avx2: return "avx2";
    case Isa::avx512: return "avx512";
  }
  __builtin_unreachable();
}

struct Target {
  Isa isa = Isa::scalar;
  bool bf16 = false;  // AVX512-BF16
  bool vnni = false;  // AVX512-VNNI
  // Two multiply-adds of 512 bits a cycle and as many loads, not one: Zen 5, Intel's with AMX.
  bool two_fma512 = false;
  int64_t l1_bytes = 32 << 10, l2_bytes = 1 << 20, l3_bytes = 8 << 20;

  // Bytes of one vector register; 4 for scalar code.
  constexpr int vector_bytes() const {
    return isa == Isa::avx512 ? 64 : isa == Isa::avx2 ? 32 : isa == Isa::sse42 ? 16 : 4;
  }
  constexpr bool has_fma() const { return isa >= Isa::avx2; }
};

}  // namespace lathe
