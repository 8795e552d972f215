#include "frontend/onnx/types.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "ir/base/error.h"

namespace lathe::onnx {
namespace {

constexpr std::array<ElemInfo, 27> kInfo = {{
    {"undefined", {}, 0},
    {"float", DType::f32, 32},
    {"uint8", DType::u8, 8},
    {"int8", DType::i8, 8},
    {"uint16", DType::u16, 16},
    {"int16", DType::i16, 16},
    {"int32", DType::i32, 32},
    {"int64", DType::i64, 64},
    {"string", {}, 0},
    {"bool", DType::boolean, 8},
    {"float16", DType::f16, 16},
    {"double", DType::f64, 64},
    {"uint32", DType::u32, 32},
    {"uint64", DType::u64, 64},
    {"complex64", {}, 64},
    {"complex128", {}, 128},
    {"bfloat16", DType::bf16, 16},
    {"float8e4m3fn", DType::f32, 8},
    {"float8e4m3fnuz", DType::f32, 8},
    {"float8e5m2", DType::f32, 8},
    {"float8e5m2fnuz", DType::f32, 8},
    {"uint4", DType::u8, 4},
    {"int4", DType::i8, 4},
    {"float4e2m1", DType::f32, 4},
    {"float8e8m0", DType::f32, 8},
    {"uint2", DType::u8, 2},
    {"int2", DType::i8, 2},
}};

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Magnitude patterns from 0 up are values from 0 up; the number of finite ones.
int finite_patterns(const SmallFloat& f) {
  const int all = 1 << (f.exponent_bits + f.mantissa_bits);
  if (f.infinities) return all - (1 << f.mantissa_bits);
  return f.has_nan && !f.negative_nan ? all - 1 : all;
}

float magnitude_value(const SmallFloat& f, int pattern) {
  const int exponent = pattern >> f.mantissa_bits;
  const int mantissa = pattern & ((1 << f.mantissa_bits) - 1);
  if (exponent == 0) return std::ldexp(static_cast<float>(mantissa), 1 - f.bias - f.mantissa_bits);
  return std::ldexp(static_cast<float>(mantissa + (1 << f.mantissa_bits)),
                    exponent - f.bias - f.mantissa_bits);
}

// Patterns of e8m0: 2^(bits - 127), and NaN.
uint8_t e8m0_bits(float value, const CastRules& rules) {
  if (std::isnan(value)) return 255;
  value = std::abs(value);
  const uint8_t beyond = rules.saturate ? 254 : 255;
  if (value == 0) return 0;
  if (std::isinf(value)) return beyond;
  int exponent = 0;
  const float fraction = std::frexp(value, &exponent) * 2;  // in [1, 2)
  const bool up = rules.round == PowerRounding::Up        ? fraction > 1
                  : rules.round == PowerRounding::Nearest ? fraction >= 1.5F
                                                          : false;
  const int rounded = exponent - 1 + (up ? 1 : 0);
  return rounded > 127 ? beyond : static_cast<uint8_t>(std::max(rounded + 127, 0));
}

}  // namespace

ElemType elem_type(int64_t number) {
  return number > 0 && number < std::ssize(kInfo) ? static_cast<ElemType>(number)
                                                  : ElemType::Undefined;
}

const ElemInfo& info(ElemType t) { return kInfo[static_cast<size_t>(t)]; }

ElemType elem_of(DType t) {
  for (size_t i = 1; i < 17; ++i)
    if (kInfo[i].carrier == t) return static_cast<ElemType>(i);
  return ElemType::Undefined;
}

DType carrier(ElemType t) {
  if (!info(t).carrier) fail_unsupported("tensors of {} cannot be computed with", name(t));
  return *info(t).carrier;
}

bool is_stored_only(ElemType t) { return static_cast<int>(t) > 16; }

SmallFloat small_float(ElemType t) {
  if (t == ElemType::Float8E4M3FN) return {4, 3, 7, false, false, true};
  if (t == ElemType::Float8E4M3FNUZ) return {4, 3, 8, false, true, true};
  if (t == ElemType::Float8E5M2) return {5, 2, 15, true, false, true};
  if (t == ElemType::Float8E5M2FNUZ) return {5, 2, 16, false, true, true};
  LATHE_ASSERT(t == ElemType::Float4E2M1, "{} is not a small float", name(t));
  return {2, 1, 1, false, false, false};
}

float small_float_value(ElemType t, uint8_t bits) {
  if (t == ElemType::Float8E8M0) return bits == 255 ? kNaN : std::ldexp(1.0F, bits - 127);
  const SmallFloat f = small_float(t);
  const int width = f.exponent_bits + f.mantissa_bits;
  const bool negative = ((bits >> width) & 1) != 0;
  const int magnitude = bits & ((1 << width) - 1);
  if (f.negative_nan && negative && magnitude == 0) return kNaN;
  if (magnitude >= finite_patterns(f))
    return f.infinities && magnitude == finite_patterns(f) ? (negative ? -kInfinity : kInfinity)
                                                           : kNaN;
  const float value = magnitude_value(f, magnitude);
  return negative ? -value : value;
}

uint8_t small_float_bits(ElemType t, float value, const CastRules& rules) {
  if (t == ElemType::Float8E8M0) return e8m0_bits(value, rules);
  const SmallFloat f = small_float(t);
  const int width = f.exponent_bits + f.mantissa_bits;
  const int sign = std::signbit(value) ? 1 << width : 0;
  const int finite = finite_patterns(f);
  const int nan = f.negative_nan ? 1 << width : sign | ((1 << width) - 1);
  if (std::isnan(value)) return static_cast<uint8_t>(f.has_nan ? nan : 1 << width);
  const float magnitude = std::abs(value);
  const float largest = magnitude_value(f, finite - 1);
  // The value after the largest, if there were one: what is below its middle rounds down to it.
  const float step = largest - magnitude_value(f, finite - 2);
  if (magnitude >= largest + step / 2 || std::isinf(magnitude)) {
    if (rules.saturate || !f.has_nan) return static_cast<uint8_t>(sign | (finite - 1));
    return static_cast<uint8_t>(f.infinities ? sign | finite : nan);
  }
  int low = 0, high = finite - 1;  // value(low) <= magnitude
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (magnitude_value(f, middle) <= magnitude) low = middle;
    else high = middle - 1;
  }
  int nearest = low;
  if (low + 1 < finite) {
    const float below = magnitude - magnitude_value(f, low);
    const float above = magnitude_value(f, low + 1) - magnitude;
    if (above < below || (above == below && (low & 1) != 0)) nearest = low + 1;
  }
  if (nearest == 0 && f.negative_nan) return 0;
  return static_cast<uint8_t>(sign | nearest);
}

}  // namespace lathe::onnx
