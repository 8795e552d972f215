// tanh, sinh, cosh and sigmoid. Largest errors, in units in the last place of the result's type,
// over the whole range, subnormal results included:
//   f32, f64   tanh 3   sinh 2.5   cosh 2   sigmoid 2.5
//
// Methods: by exp, but tanh by expm1 and sinh below 1 by x + x^3 P(x^2). P is minimax in relative
// error of the result (Remez exchange in 70 digits), its own error below 0.003 ulp.
#include <array>

#include "passes/math/exponential.h"

namespace lathe::math {
namespace {

constexpr std::array kSinh32 = {0x1.555556p-3, 0x1.1110ep-7, 0x1.a022bcp-13, 0x1.756c1ep-19};
constexpr std::array kSinh64 = {0x1.5555555555556p-3,  0x1.111111111101ep-7,  0x1.a01a01a03726ap-13,
                                0x1.71de3a3b06a06p-19, 0x1.ae646ff5321e3p-26, 0x1.6116f48a96f55p-33,
                                0x1.b5c89ff1ea5fbp-41};

}  // namespace

ScalarId expand_Tanh(Emitter& e, ScalarId x, ScalarId) {
  // tanh x = E / (E + 2), E = expm1(2|x|); 1 to the last bit beyond the limit.
  const ScalarId magnitude = e.at_most(e.abs(x), e.single() ? 9.5 : 19.5);
  const ScalarId big = expm1_positive(e, e.add(magnitude, magnitude));
  const ScalarId t = e.div(big, e.add(big, e.number(2)));
  return e.with_sign(t, x);
}

ScalarId expand_Sigmoid(Emitter& e, ScalarId x, ScalarId) {
  // exp never overflows this way, and small results keep their digits.
  const ScalarId decay = exponential(e, e.neg(e.abs(x)));
  const ScalarId one = e.number(1);
  const ScalarId numerator = e.select(e.lt(x, e.number(0)), decay, one);
  return e.div(numerator, e.add(one, decay));
}

ScalarId expand_Sinh(Emitter& e, ScalarId x, ScalarId) {
  const ScalarId magnitude = e.abs(x), z = e.mul(x, x);
  const ScalarId p = e.polynomial(
      z, e.single() ? std::span<const double>(kSinh32) : std::span<const double>(kSinh64));
  const ScalarId near = e.fma(e.mul(x, z), p, x);
  const ScalarId half = exponential(e, magnitude, -1);  // exp|x| / 2
  const ScalarId far = e.with_sign(e.sub(half, e.div(e.number(0.25), half)), x);
  return e.select(e.lt(magnitude, e.number(1)), near, far);
}

ScalarId expand_Cosh(Emitter& e, ScalarId x, ScalarId) {
  const ScalarId half = exponential(e, e.abs(x), -1);
  return e.add(half, e.div(e.number(0.25), half));
}

}  // namespace lathe::math
