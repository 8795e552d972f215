// tanh and sigmoid. Largest errors, in units in the last place of the result's type, over the whole
// range, subnormal results included:
//   f32, f64   tanh 3   sigmoid 2.5
#include "passes/math/exponential.h"

namespace lathe::math {

ScalarId expand_Tanh(Emitter& e, ScalarId x, ScalarId) {
  // tanh x = E / (E + 2), E = expm1(2|x|); 1 to the last bit beyond the limit.
  const ScalarId magnitude = e.clamp(e.abs(x), 0, e.single() ? 9.5 : 19.5);
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

}  // namespace lathe::math
