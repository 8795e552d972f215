#include "frontend/onnx/stored.h"

#include <cmath>
#include <limits>

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kExponent = 0x7f800000;  // of binary32
constexpr int64_t kSign = std::numeric_limits<int32_t>::min();

Expr i32(const Expr& like, int64_t value) {
  return integer_constant(*like.graph, DType::i32, value);
}

// The power of two at or below |x|; 0 for subnormals.
Expr power_below(const Expr& bits) {
  return bitcast(bit_and(bits, i32(bits, kExponent)), DType::f32);
}

// x to the nearest value, ties to even: whole multiples of the step that its exponent has.
Expr to_small_float(const Expr& x, ElemType to, const CastRules& rules) {
  const SmallFloat f = small_float(to);
  const Expr bits = bitcast(x, DType::i32), magnitude = abs(x);
  const Expr power = max(power_below(bits), std::ldexp(1.0, 1 - f.bias));
  const Expr step = power * std::ldexp(1.0, -f.mantissa_bits);
  const Expr rounded = round_even(magnitude / step) * step;
  const float most = small_float_value(
      to, small_float_bits(to, std::numeric_limits<float>::max(), {.saturate = true}));
  // From the middle between the largest value and the one that would follow.
  const double limit =
      static_cast<double>(most) + std::ldexp(1.0, std::ilogb(most) - f.mantissa_bits - 1);
  const double beyond = rules.saturate || !f.has_nan ? static_cast<double>(most)
                        : f.infinities               ? kInfinity
                                                     : kNaN;
  const Expr size = select(lt(magnitude, limit), rounded, full_like(x, beyond));
  const Expr sign = bit_and(bits, i32(bits, kSign));
  Expr y = bitcast(bit_or(bitcast(size, DType::i32), sign), DType::f32);
  if (f.negative_nan) y = select(eq(y, 0), full_like(x, 0), y);
  return select(ne(x, x), full_like(x, f.has_nan ? kNaN : -0.0), y);
}

// Powers of two from 2^-127, which is subnormal in binary32, to 2^127. A subnormal x has no
// power_below, and 2^-127 takes its place.
Expr to_powers(const Expr& x, const CastRules& rules) {
  const Expr magnitude = abs(x);
  const Expr below = max(power_below(bitcast(x, DType::i32)), 0x1p-127), twice = below * 2.0;
  Expr y = below;
  if (rules.round == PowerRounding::Up) y = select(lt(below, magnitude), twice, below);
  if (rules.round == PowerRounding::Nearest) y = select(lt(magnitude, below * 1.5), below, twice);
  y = select(eq(y, kInfinity), full_like(x, rules.saturate ? 0x1p127 : kNaN), y);
  return select(ne(x, x), full_like(x, kNaN), y);
}

// The low bits, sign extended where the type is signed.
Expr to_bits(const Expr& x, ElemType to) {
  const int bits = info(to).bits;
  const DType type = carrier(to);
  const Expr whole = cast(is_float(x.dtype()) ? cast(x, DType::i64) : x, type);
  if (!is_signed(type))
    return bit_and(whole, integer_constant(*x.graph, type, (int64_t{1} << bits) - 1));
  const Expr count = integer_constant(*x.graph, type, 8 - bits);
  return shift_right(shift_left(whole, count), count);
}

}  // namespace

Expr cast_to_elem(const Expr& x, ElemType to, const CastRules& rules) {
  if (!is_stored_only(to)) return cast(x, carrier(to));
  if (!is_float(carrier(to))) return to_bits(x, to);
  const Expr value = cast(x, DType::f32);
  return to == ElemType::Float8E8M0 ? to_powers(value, rules) : to_small_float(value, to, rules);
}

int64_t lowest_of(ElemType t) {
  const DType type = carrier(t);
  if (is_float(type) || info(t).bits > 32) fail("{} is no quantised type", name(t));
  return is_signed(type) ? -(int64_t{1} << (info(t).bits - 1)) : 0;
}

int64_t largest_of(ElemType t) { return lowest_of(t) + (int64_t{1} << info(t).bits) - 1; }

}  // namespace lathe::onnx
