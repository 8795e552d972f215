// sin and cos. Largest errors, in units in the last place of the result's type, for |x| < 2^30:
//   f32  sin, cos 0.6
//   f64  sin, cos 1.6
//
// Method: a three-part pi/2 (Cody & Waite, 1980) and Taylor polynomials in |r| <= pi/4, always in
// f64.
#include <cmath>
#include <numbers>

#include "passes/math/expansion.h"

namespace lathe::math {
namespace {

// sin(x + quarter * pi/2) in f64.
ScalarId sine(Emitter& e, ScalarId x, int64_t quarter) {
  const Emitter::Nearest n = e.nearest(x, 2 / std::numbers::pi);
  ScalarId r = e.fma(n.number, e.number(-0x1.921fb54442d18p+0), x);
  r = e.fma(n.number, e.number(-0x1.1a62633145c07p-54), r);
  r = e.fma(n.number, e.number(0x1.f1976b7ed8fbcp-110), r);
  const ScalarId square = e.mul(r, r);
  std::vector<double> odd, even;
  for (int i = 0; i <= 8; ++i) {
    const double sign = i % 2 == 0 ? 1 : -1;
    odd.push_back(sign / std::tgamma(2.0 * i + 2));
    even.push_back(sign / std::tgamma(2.0 * i + 1));
  }
  odd.erase(odd.begin());
  const ScalarId s = e.fma(e.mul(r, square), e.polynomial(square, odd), r);
  const ScalarId c = e.polynomial(square, even);
  const ScalarId turn = e.iop(Scalar::Add, n.integer, e.integer(quarter));
  const auto bit = [&](int64_t mask) {
    return e.op(Scalar::Ne, DType::boolean,
                {e.iop(Scalar::And, turn, e.integer(mask)), e.integer(0)});
  };
  const ScalarId value = e.select(bit(1), c, s);
  return e.select(bit(2), e.neg(value), value);
}

}  // namespace

ScalarId expand_Sin(Emitter& e, ScalarId x, ScalarId) {
  const ScalarId value = e.in_double([](Emitter& w, ScalarId v) { return sine(w, v, 0); }, x);
  return e.select(e.eq(x, e.number(0)), x, value);  // the reduction loses the sign of -0
}

ScalarId expand_Cos(Emitter& e, ScalarId x, ScalarId) {
  return e.in_double([](Emitter& w, ScalarId v) { return sine(w, v, 1); }, x);
}

}  // namespace lathe::math
