// Element types of tensors and their storage formats.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>

namespace lathe {

enum class DType : uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

inline constexpr int kDTypeCount = 13;

struct DTypeInfo {
  std::string_view name;  // as printed in all text forms
  uint8_t bytes;
  bool is_float;
  bool is_signed;  // integers: two's complement; floats: true
};

inline constexpr DTypeInfo kDTypes[kDTypeCount] = {
    {"f64", 8, true, true},    {"f32", 4, true, true},   {"f16", 2, true, true},
    {"bf16", 2, true, true},   {"i64", 8, false, true},  {"i32", 4, false, true},
    {"i16", 2, false, true},   {"i8", 1, false, true},   {"u64", 8, false, false},
    {"u32", 4, false, false},  {"u16", 2, false, false}, {"u8", 1, false, false},
    {"bool", 1, false, false},
};

constexpr const DTypeInfo& info(DType t) { return kDTypes[static_cast<int>(t)]; }
constexpr std::string_view name(DType t) { return info(t).name; }
constexpr int64_t byte_size(DType t) { return info(t).bytes; }
constexpr bool is_float(DType t) { return info(t).is_float; }
constexpr bool is_integer(DType t) { return !info(t).is_float && t != DType::boolean; }
constexpr bool is_signed(DType t) { return info(t).is_signed; }

constexpr std::optional<DType> parse_dtype(std::string_view text) {
  for (int i = 0; i < kDTypeCount; ++i)
    if (kDTypes[i].name == text) return static_cast<DType>(i);
  return std::nullopt;
}

// Storage conversions, round to nearest even; NaN stays NaN. IEEE 754-2008 binary16.
float f16_to_float(uint16_t bits);
uint16_t float_to_f16(float value);

// bfloat16: the upper half of a binary32.
constexpr float bf16_to_float(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}
constexpr uint16_t float_to_bf16(float value) {
  const auto u = std::bit_cast<uint32_t>(value);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((u >> 16) | 0x40u);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

// Distinct C++ types for the two 16-bit storage formats, so that templates can tell them apart.
struct Half {
  uint16_t bits;
};
struct BFloat16 {
  uint16_t bits;
};

// Calls `f.template operator()<T>()` with the C++ storage type of `t`
// (bool is stored as one byte, 0 or 1).
template <class F>
decltype(auto) visit_dtype(DType t, F&& f) {
  switch (t) {
    case DType::f64: return f.template operator()<double>();
    case DType::f32: return f.template operator()<float>();
    case DType::f16: return f.template operator()<Half>();
    case DType::bf16: return f.template operator()<BFloat16>();
    case DType::i64: return f.template operator()<int64_t>();
    case DType::i32: return f.template operator()<int32_t>();
    case DType::i16: return f.template operator()<int16_t>();
    case DType::i8: return f.template operator()<int8_t>();
    case DType::u64: return f.template operator()<uint64_t>();
    case DType::u32: return f.template operator()<uint32_t>();
    case DType::u16: return f.template operator()<uint16_t>();
    case DType::u8: return f.template operator()<uint8_t>();
    case DType::boolean: return f.template operator()<bool>();
  }
  __builtin_unreachable();
}

}  // namespace lathe
