// exp, expm1, log, log1p and pow. Largest errors, in units in the last place of the result's type,
// over the whole range, subnormal results included:
//   f32  exp 1   expm1 2.5   log 1   log1p 1.5   pow 0.6
//   f64  exp 1   expm1 2.5   log 1   log1p 1.5   pow 2 + 2.4 |y log x|
// NaN operands give NaN (but pow(x, 0) = pow(1, y) = 1, as in IEEE 754-2019 9.2.1).
//
// Methods: exp and expm1 by x = n ln2 + r with a two-part ln2 and a Taylor polynomial in
// |r| <= ln2/2; log as in fdlibm's e_log.c (s = f/(2+f), odd series); log1p as log(1 + x) and the
// rounding error of 1 + x over 1 + x; pow by log and exp in f64.
#include "passes/math/exponential.h"

#include <cmath>
#include <numbers>

namespace lathe::math {
namespace {

// 1/first!, 1/(first+1)!, .. (`count` of them).
std::vector<double> inverse_factorials(int first, int count) {
  std::vector<double> out;
  for (int i = first; i < first + count; ++i) out.push_back(1 / std::tgamma(i + 1.0));
  return out;
}

struct Reduced {
  ScalarId n, r;  // x = n ln2 + r, n an integer
};

Reduced reduce_by_ln2(Emitter& e, ScalarId x) {
  // The high parts have trailing zeros enough for n * high to be exact.
  const double high = e.single() ? 0x1.62e4p-1 : 0x1.62e42fefa0000p-1;
  const double low = e.single() ? 0x1.7f7d1cp-20 : 0x1.cf79abc9e3b3ap-40;
  const Emitter::Nearest n = e.nearest(x, std::numbers::log2e);
  const ScalarId r = e.fma(n.number, e.number(-high), x);
  return {n.integer, e.fma(n.number, e.number(-low), r)};
}

// exp(r) - 1 for |r| <= ln2/2.
ScalarId expm1_series(Emitter& e, ScalarId r) {
  const std::vector<double> series = inverse_factorials(2, e.single() ? 6 : 12);
  return e.fma(e.mul(r, r), e.polynomial(r, series), r);
}

ScalarId pow(Emitter& e, ScalarId x, ScalarId y) {
  const ScalarId one = e.number(1), zero = e.number(0);
  const ScalarId magnitude = exponential(e, e.mul(y, logarithm(e, e.abs(x))));
  // Odd integers have a fractional half; from 2^53 on all are even.
  const ScalarId whole = e.eq(e.floor(y), y);
  const ScalarId half = e.mul(y, e.number(0.5));
  const ScalarId even = e.eq(e.floor(half), half);
  const ScalarId odd = e.both(whole, e.negate(even));
  // The sign of x, seen through 1/x so that -0 counts as negative.
  const ScalarId negative = e.lt(e.div(one, x), zero);
  const ScalarId minus_infinity = e.eq(x, e.number(-kInfinity));
  const ScalarId is_negative = e.either(negative, minus_infinity);
  const ScalarId flipped = e.select(e.both(is_negative, odd), e.neg(magnitude), magnitude);
  const ScalarId finite_negative = e.both(e.lt(x, zero), e.lt(e.number(-kInfinity), x));
  const ScalarId undefined = e.both(finite_negative, e.negate(whole));
  const ScalarId value = e.select(undefined, e.number(kNaN), flipped);
  // (-1)^inf = 1 although inf has no parity; y = 0 and x = 1 are 1 even beside NaN.
  const ScalarId endless = e.eq(e.abs(y), e.number(kInfinity));
  const ScalarId unit = e.both(e.eq(e.abs(x), one), endless);
  const ScalarId trivial = e.either(e.eq(y, zero), e.either(e.eq(x, one), unit));
  return e.select(trivial, one, value);
}

}  // namespace

ScalarId exponential(Emitter& e, ScalarId x, int64_t doublings) {
  // Beyond these the result is infinity or zero whatever x is.
  const double largest = (e.single() ? 89 : 710) - static_cast<double>(doublings);
  const double smallest = e.single() ? -104.5 : -746;
  const Reduced reduced = reduce_by_ln2(e, e.clamp(x, smallest, largest));
  const ScalarId p = e.polynomial(reduced.r, inverse_factorials(0, e.single() ? 8 : 14));
  if (doublings == 0) return e.scale2(p, reduced.n);
  return e.scale2(p, e.iop(Scalar::Add, reduced.n, e.integer(doublings)));
}

ScalarId logarithm(Emitter& e, ScalarId x) {
  const int mantissa = e.single() ? 23 : 52;
  const double smallest_normal = e.single() ? 0x1p-126 : 0x1p-1022;
  const int64_t sqrt_half = e.single() ? 0x3f3504f3 : 0x3fe6a09e667f3bcd;
  const ScalarId tiny = e.lt(x, e.number(smallest_normal));
  const ScalarId scaled = e.select(tiny, e.mul(x, e.number(std::ldexp(1.0, mantissa + 1))), x);
  const ScalarId bits = e.bits(scaled);
  const ScalarId base = e.integer(sqrt_half);
  const ScalarId above = e.iop(Scalar::Sub, bits, base);
  const ScalarId exponent = e.cast(e.type(), e.iop(Scalar::Shr, above, e.integer(mantissa)));
  const ScalarId k = e.select(tiny, e.sub(exponent, e.number(mantissa + 1)), exponent);
  const ScalarId fraction = e.iop(Scalar::And, above, e.integer((int64_t{1} << mantissa) - 1));
  const ScalarId m = e.from_bits(e.iop(Scalar::Add, fraction, base));

  const ScalarId f = e.sub(m, e.number(1));
  const ScalarId s = e.div(f, e.add(f, e.number(2)));
  const ScalarId z = e.mul(s, s);
  std::vector<double> series;
  for (int i = 1; i <= (e.single() ? 5 : 12); ++i) series.push_back(2.0 / (2 * i + 1));
  const ScalarId tail = e.mul(z, e.polynomial(z, series));
  const ScalarId half_square = e.mul(e.mul(f, f), e.number(0.5));
  const ScalarId ln2_high = e.number(e.single() ? 0x1.62e4p-1 : 0x1.62e42fefa0000p-1);
  const ScalarId ln2_low = e.number(e.single() ? 0x1.7f7d1cp-20 : 0x1.cf79abc9e3b3ap-40);
  const ScalarId correction = e.fma(k, ln2_low, e.mul(s, e.add(half_square, tail)));
  const ScalarId finite = e.fma(k, ln2_high, e.sub(f, e.sub(half_square, correction)));

  const ScalarId zero = e.number(0), inf = e.number(kInfinity);
  const ScalarId not_above = e.select(e.lt(x, inf), finite, x);  // +inf and NaN pass
  const ScalarId negative = e.select(e.lt(x, zero), e.number(kNaN), not_above);
  return e.select(e.eq(x, zero), e.number(-kInfinity), negative);
}

ScalarId logarithm_of_next(Emitter& e, ScalarId x) {
  const ScalarId next = e.add(x, e.number(1)), log = logarithm(e, next);
  const ScalarId lost = e.sub(x, e.sub(next, e.number(1)));
  const ScalarId finite = e.lt(e.abs(log), e.number(kInfinity));
  return e.select(finite, e.add(log, e.div(lost, next)), log);
}

// expm1 of 0 <= y: 2^n expm1(r) + (2^n - 1), exact in its second part.
ScalarId expm1_positive(Emitter& e, ScalarId y) {
  const Reduced reduced = reduce_by_ln2(e, y);
  const ScalarId p = expm1_series(e, reduced.r);
  const ScalarId one = e.number(1);
  const ScalarId power = e.scale2(one, reduced.n);
  return e.fma(p, power, e.sub(power, one));
}

// Likewise, but the result is halved on the way where 2^n may be too large.
ScalarId expand_Expm1(Emitter& e, ScalarId x, ScalarId) {
  const double largest = e.single() ? 89 : 710, smallest = e.single() ? -18 : -38;
  const Reduced reduced = reduce_by_ln2(e, e.clamp(x, smallest, largest));
  const ScalarId p = expm1_series(e, reduced.r);
  const ScalarId large = e.lt(e.number(40), x), one = e.number(1);
  const ScalarId unit = e.select(large, e.number(0.5), one);
  const ScalarId power = e.scale2(unit, reduced.n);
  const ScalarId scaled = e.fma(p, power, e.sub(power, unit));
  const ScalarId result = e.mul(scaled, e.select(large, e.number(2), one));
  return e.with_sign(result, x);  // which it has, but for x = -0
}

ScalarId expand_Exp(Emitter& e, ScalarId x, ScalarId) { return exponential(e, x); }

ScalarId expand_Log(Emitter& e, ScalarId x, ScalarId) { return logarithm(e, x); }

ScalarId expand_Log1p(Emitter& e, ScalarId x, ScalarId) {
  return e.with_sign(logarithm_of_next(e, x), x);  // which it has, but for x = -0
}

ScalarId expand_Pow(Emitter& e, ScalarId x, ScalarId y) { return e.in_double(pow, x, y); }

}  // namespace lathe::math
