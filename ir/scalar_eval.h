// What every machine scalar computes, written once: the interpreter, constant folding and the
// scalar tails of vector code share these functions, so they agree to the bit.
//
// The templates work on C++ compute types: double, float, the eight integer types and bool (f16 and
// bf16 are computed as float, see ir/scalar.h). The untyped half below them works on values stored
// in the low bytes of a uint64_t, the upper bytes zero.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "ir/kernel.h"

namespace lathe::scalar {

template <class T>
concept Float = std::floating_point<T>;
template <class T>
concept Integer = std::integral<T> && !std::same_as<T, bool>;
template <class T>
concept Number = Float<T> || Integer<T>;
template <class T>
concept Logical = std::integral<T>;
template <class T>
concept Any = Number<T> || std::same_as<T, bool>;

// Integer arithmetic goes through uint64_t: it wraps, and short types are not promoted to int.
template <Number T>
T add(T a, T b) {
  if constexpr (Float<T>) return a + b;
  else return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
}
template <Number T>
T sub(T a, T b) {
  if constexpr (Float<T>) return a - b;
  else return static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
}
template <Number T>
T mul(T a, T b) {
  if constexpr (Float<T>) return a * b;
  else return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
}
template <Number T>
T div(T a, T b) {
  if constexpr (Float<T>) return a / b;
  else if (b == 0) return static_cast<T>(~uint64_t{0});
  else if (std::is_signed_v<T> && b == static_cast<T>(-1)) return sub<T>(0, a);
  else return static_cast<T>(a / b);
}
template <Number T>
T rem(T a, T b) {
  if constexpr (Float<T>) return std::fmod(a, b);
  else if (b == 0) return a;
  else if (std::is_signed_v<T> && b == static_cast<T>(-1)) return 0;
  else return static_cast<T>(a % b);
}
template <Number T>
T fma(T a, T b, T c) {
  if constexpr (Float<T>) return std::fma(a, b, c);
  else return add<T>(mul<T>(a, b), c);
}
// Combine::FmaFlush.
inline float fma_flush(float a, float b, float c) {
  const auto flush = [](float x) { return std::fabs(x) < 0x1p-126f ? std::copysign(0.0f, x) : x; };
  a = flush(a), b = flush(b);
  // 2^64 times as large a sum near the least normal number is rounded as if exponents went on.
  // Overflow does no harm: of factors so large a sum is either 0 or far from that number.
  const float scaled = std::fma(a * 0x1p64f, b, c * 0x1p64f);
  return std::fabs(scaled) < 0x1p-62f ? std::copysign(0.0f, scaled) : std::fma(a, b, c);
}
template <Number T>
T min(T a, T b) {
  if constexpr (Float<T>)
    if (std::isnan(a) || std::isnan(b)) return a + b;
  return a < b ? a : b;
}
template <Number T>
T max(T a, T b) {
  if constexpr (Float<T>)
    if (std::isnan(a) || std::isnan(b)) return a + b;
  return a > b ? a : b;
}
template <Number T>
T neg(T a) {
  if constexpr (Float<T>) return -a;
  else return sub<T>(0, a);
}
template <Number T>
T abs(T a) {
  if constexpr (Float<T>) return std::fabs(a);
  else if constexpr (std::is_signed_v<T>) return a < 0 ? neg(a) : a;
  else return a;
}

template <Float T>
T sqrt(T a) {
  return std::sqrt(a);
}
template <Float T>
T floor(T a) {
  return std::floor(a);
}
template <Float T>
T ceil(T a) {
  return std::ceil(a);
}
template <Float T>
T trunc(T a) {
  return std::trunc(a);
}
// The process runs in round-to-nearest-even, as C++ starts it.
template <Float T>
T round_even(T a) {
  return std::nearbyint(a);
}
// The type of scale2's exponent.
template <Float T>
using Exponent = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
template <Float T>
T scale2(T x, Exponent<T> n) {
  return std::ldexp(x, static_cast<int>(std::clamp<Exponent<T>>(n, -5000, 5000)));
}

template <Any T>
bool eq(T a, T b) {
  return a == b;
}
template <Any T>
bool ne(T a, T b) {
  return a != b;
}
template <Any T>
bool lt(T a, T b) {
  return a < b;
}
template <Any T>
bool le(T a, T b) {
  return a <= b;
}

template <Logical T>
T bit_and(T a, T b) {
  return static_cast<T>(a & b);
}
template <Logical T>
T bit_or(T a, T b) {
  return static_cast<T>(a | b);
}
template <Logical T>
T bit_xor(T a, T b) {
  return static_cast<T>(a ^ b);
}
template <Logical T>
T bit_not(T a) {
  if constexpr (std::same_as<T, bool>) return !a;
  else return static_cast<T>(~a);
}
template <Integer T>
bool shift_in_range(T count) {
  return count >= 0 && static_cast<uint64_t>(count) < 8 * sizeof(T);
}
template <Integer T>
T shl(T a, T count) {
  return shift_in_range(count) ? static_cast<T>(static_cast<uint64_t>(a) << count) : T{0};
}
template <Integer T>
T shr(T a, T count) {
  if (shift_in_range(count)) return static_cast<T>(a >> count);
  return a < 0 ? static_cast<T>(-1) : T{0};
}

template <Any To, Any From>
To cast(From v) {
  if constexpr (std::same_as<To, bool>) return v != From{0};
  else if constexpr (Float<From> && Integer<To>) {
    using Limits = std::numeric_limits<To>;
    constexpr From beyond = static_cast<From>(Limits::max() / 2 + 1) * 2;  // 2^digits, exact
    if (std::isnan(v)) return 0;
    if (v <= static_cast<From>(Limits::min())) return Limits::min();
    if (v >= beyond) return Limits::max();
    return static_cast<To>(v);
  } else {
    return static_cast<To>(v);
  }
}

template <Any T>
T from_bits(uint64_t bits) {
  if constexpr (std::same_as<T, bool>) return bits != 0;
  T v;
  std::memcpy(&v, &bits, sizeof v);  // little-endian: the low bytes
  return v;
}
template <Any T>
uint64_t to_bits(T v) {
  uint64_t bits = 0;
  std::memcpy(&bits, &v, sizeof v);
  return bits;
}

// Rounds a binary32 value to what the 16-bit format `t` can hold; other types pass unchanged.
inline float round_to_storage(DType t, float v) {
  if (t == DType::f16) return f16_to_float(float_to_f16(v));
  if (t == DType::bf16) return bf16_to_float(float_to_bf16(v));
  return v;
}

// Calls `f.template operator()<T>()` with the C++ compute type of `t`.
template <class F>
decltype(auto) visit_compute(DType t, F&& f) {
  return visit_dtype(t, [&]<class T>() -> decltype(auto) {
    if constexpr (std::same_as<T, Half> || std::same_as<T, BFloat16>)
      return f.template operator()<float>();
    else return f.template operator()<T>();
  });
}

// A scalar on bits; arguments beyond its operand count are ignored.
using ScalarFn = uint64_t (*)(uint64_t a, uint64_t b, uint64_t c);

// The function of a machine scalar with arguments; `arg` is the type of args[0] (of args[1] for
// Select). Null where the scalar has no meaning on these types: sources, expanded scalars, sqrt of
// integers, bitcast to another width, ..
ScalarFn scalar_function(Scalar op, DType arg, DType result);

// acc = combine(acc, a) or, for Fma and FmaFlush, combine(a, b, acc). Null where combine has no
// meaning on `t`.
using CombineFn = uint64_t (*)(uint64_t acc, uint64_t a, uint64_t b);
CombineFn combine_function(Combine combine, DType t);
uint64_t combine_identity(Combine combine, DType t);
// How two partial accumulators join: Add for Fma, otherwise itself.
constexpr Combine join(Combine c) { return c == Combine::Fma ? Combine::Add : c; }

// A Const's value; `number` is rounded to the type, `integer` wraps to it.
uint64_t constant_bits(DType t, double number, int64_t integer);
// An integer or boolean value as i64 (u64 wraps).
int64_t integer_value(DType t, uint64_t bits);

// Element `i` of memory holding `t`; f16 and bf16 widen on load and round on store.
using LoadFn = uint64_t (*)(const void* base, int64_t i);
using StoreFn = void (*)(void* base, int64_t i, uint64_t bits);
LoadFn load_function(DType t);
StoreFn store_function(DType t);

}  // namespace lathe::scalar
