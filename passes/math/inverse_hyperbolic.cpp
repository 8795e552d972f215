// asinh, acosh and atanh. Largest errors, in units in the last place of the result's type, over the
// whole range, subnormal results included:
//   f32, f64   asinh 3   acosh 3   atanh 3
//
// Method: by log1p, but of large numbers (whose squares might overflow) log(2 x).
#include <numbers>

#include "passes/math/exponential.h"

namespace lathe::math {
namespace {

// log1p(near), but for x beyond 2^12 (f64: 2^28) log(2 x).
ScalarId large_or(Emitter& e, ScalarId x, ScalarId near) {
  const ScalarId large = e.lt(e.number(e.single() ? 0x1p12 : 0x1p28), x);
  const ScalarId log = logarithm_of_next(e, e.select(large, e.sub(x, e.number(1)), near));
  return e.select(large, e.add(log, e.number(std::numbers::ln2)), log);
}

ScalarId sqrt(Emitter& e, ScalarId x) { return e.op(Scalar::Sqrt, e.type(), {x}); }

}  // namespace

// asinh x = log1p(x + x^2 / (1 + sqrt(x^2 + 1))) for x >= 0.
ScalarId expand_Asinh(Emitter& e, ScalarId x, ScalarId) {
  const ScalarId magnitude = e.abs(x), square = e.mul(x, x), one = e.number(1);
  const ScalarId below = e.add(one, sqrt(e, e.add(square, one)));
  const ScalarId near = e.add(magnitude, e.div(square, below));
  return e.with_sign(large_or(e, magnitude, near), x);
}

// acosh x = log1p(t + sqrt(2 t + t^2)), t = x - 1; NaN below 1.
ScalarId expand_Acosh(Emitter& e, ScalarId x, ScalarId) {
  const ScalarId t = e.sub(x, e.number(1));
  const ScalarId near = e.add(t, sqrt(e, e.fma(t, t, e.add(t, t))));
  const ScalarId value = large_or(e, x, near);
  return e.select(e.lt(t, e.number(0)), e.number(kNaN), value);
}

// atanh x = log1p(2 x / (1 - x)) / 2 for x >= 0; infinite at 1, NaN beyond.
ScalarId expand_Atanh(Emitter& e, ScalarId x, ScalarId) {
  const ScalarId magnitude = e.abs(x);
  const ScalarId ratio = e.div(e.add(magnitude, magnitude), e.sub(e.number(1), magnitude));
  return e.with_sign(e.mul(logarithm_of_next(e, ratio), e.number(0.5)), x);
}

}  // namespace lathe::math
