// asin, acos and atan. Largest errors, in units in the last place of the result's type, over the
// whole range, subnormal results included:
//   f32  asin 2.5   acos 2   atan 1.5
//   f64  asin 2.5   acos 2   atan 1.5
// asin and acos are NaN beyond [-1, 1].
//
// Methods: below 1/2 asin x = x + x^3 P(x^2), above pi/2 - 2 asin(sqrt((1 - x)/2));
// acos x = pi/2 - asin x, but above 1/2 the second term alone; atan x = x + x^3 Q(x^2),
// above 1 pi/2 - atan(1/x). P and Q are minimax in relative error of the result (Remez exchange in
// 70 digits, the low coefficients rounded before the others were fitted); their own errors are
// below 0.05 ulp. pi comes in two parts.
#include <array>

#include "passes/math/expansion.h"

namespace lathe::math {
namespace {

constexpr std::array kAsin32 = {0x1.5555c8p-3, 0x1.330204p-4, 0x1.747bb8p-5, 0x1.8c3e54p-6,
                                0x1.595c58p-5};
constexpr std::array kAsin64 = {0x1.5555555555577p-3, 0x1.333333332e131p-4, 0x1.6db6db7212675p-5,
                                0x1.f1c71a94f3484p-6, 0x1.6e8bdee035126p-6, 0x1.1c49f05d858dbp-6,
                                0x1.ca1f8d650c9d1p-7, 0x1.758589d91137bp-7, 0x1.613c8c2147499p-7,
                                0x1.e5f586019c207p-9, 0x1.639c738666229p-6, -0x1.57fd7d36ee5d6p-6,
                                0x1.0b46bd30513bcp-5};

constexpr std::array kAtan32 = {-0x1.55553ep-2, 0x1.9991e4p-3, -0x1.2420acp-3,
                                0x1.c08f9ep-4,  -0x1.5817fp-4, 0x1.da6d7p-5,
                                -0x1.fe232ap-6, 0x1.64f4ep-7,  -0x1.d50194p-10};
constexpr std::array kAtan64 = {
    -0x1.555555555554dp-2, 0x1.9999999998c65p-3, -0x1.2492492457649p-3,  0x1.c71c71b64d8a5p-4,
    -0x1.745d15d25a5cep-4, 0x1.3b139be3b3075p-4, -0x1.111032f0bc478p-4,  0x1.e1d48b84edc9p-5,
    -0x1.aeda5bccaea9bp-5, 0x1.84b44968fb09ap-5, -0x1.5f2393854ab54p-5,  0x1.3901f631c900ap-5,
    -0x1.0c8de6b48b7a4p-5, 0x1.ac6179d981aeap-6, -0x1.30db0b63ffa91p-6,  0x1.729ddcc79edb5p-7,
    -0x1.6f754728be544p-8, 0x1.19a2f3bf9ae6ap-9, -0x1.364e4addc0f47p-11, 0x1.b2b990201e58bp-14,
    -0x1.21a0d5245b3ebp-17};

// `quarters` * pi/2 - x, with pi/2 in two parts.
ScalarId from_quarters(Emitter& e, double quarters, ScalarId x) {
  const double high = e.single() ? 0x1.921fb6p+0 : 0x1.921fb54442d18p+0;
  const double low = e.single() ? -0x1.777a5cp-25 : 0x1.1a62633145c07p-54;
  return e.add(e.number(quarters * high), e.sub(e.number(quarters * low), x));
}

struct HalfArc {
  ScalarId beyond;  // |x| > 1/2
  ScalarId arc;     // asin |x|, where beyond asin(sqrt((1 - |x|)/2))
};

HalfArc half_arc(Emitter& e, ScalarId x) {
  const ScalarId magnitude = e.abs(x), half = e.number(0.5);
  const ScalarId beyond = e.lt(half, magnitude);
  const ScalarId z = e.select(beyond, e.fma(magnitude, e.number(-0.5), half), e.mul(x, x));
  const ScalarId s = e.select(beyond, e.op(Scalar::Sqrt, e.type(), {z}), magnitude);
  const ScalarId p = e.polynomial(
      z, e.single() ? std::span<const double>(kAsin32) : std::span<const double>(kAsin64));
  return {beyond, e.fma(e.mul(s, z), p, s)};
}

}  // namespace

ScalarId expand_Asin(Emitter& e, ScalarId x, ScalarId) {
  const HalfArc h = half_arc(e, x);
  const ScalarId far = from_quarters(e, 1, e.add(h.arc, h.arc));
  return e.with_sign(e.select(h.beyond, far, h.arc), x);
}

ScalarId expand_Acos(Emitter& e, ScalarId x, ScalarId) {
  const HalfArc h = half_arc(e, x);
  const ScalarId near = from_quarters(e, 1, e.with_sign(h.arc, x));
  const ScalarId doubled = e.add(h.arc, h.arc);
  const ScalarId negative = e.lt(x, e.number(0));
  const ScalarId far = e.select(negative, from_quarters(e, 2, doubled), doubled);
  return e.select(h.beyond, far, near);
}

ScalarId expand_Atan(Emitter& e, ScalarId x, ScalarId) {
  const ScalarId magnitude = e.abs(x), one = e.number(1);
  const ScalarId beyond = e.lt(one, magnitude);
  const ScalarId q = e.div(e.select(beyond, one, magnitude), e.select(beyond, magnitude, one));
  const ScalarId z = e.mul(q, q);
  const ScalarId p = e.polynomial(
      z, e.single() ? std::span<const double>(kAtan32) : std::span<const double>(kAtan64));
  const ScalarId arc = e.fma(e.mul(q, z), p, q);
  return e.with_sign(e.select(beyond, from_quarters(e, 1, arc), arc), x);
}

}  // namespace lathe::math
