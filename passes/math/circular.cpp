// sin, cos and tan. Largest errors, in units in the last place of the result's type, for |x| <
// 2^30:
//   f32  sin, cos, tan 0.6
//   f64  sin, cos 1.6   tan 2.8
//
// Method: a three-part pi/2 (Cody & Waite, 1980) and Taylor polynomials in |r| <= pi/4, always in
// f64.
#include <cmath>
#include <numbers>

#include "passes/math/expansion.h"

namespace lathe::math {
namespace {

struct Reduced {
  ScalarId sine, cosine;  // of x - n pi/2
  ScalarId n;             // an integer
};

Reduced reduce(Emitter& e, ScalarId x) {
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
  return {s, c, n.integer};
}

// Whether an integer has this bit.
ScalarId has_bit(Emitter& e, ScalarId n, int64_t mask) {
  return e.op(Scalar::Ne, DType::boolean, {e.iop(Scalar::And, n, e.integer(mask)), e.integer(0)});
}

// sin(x + quarter * pi/2) in f64.
ScalarId sine(Emitter& e, ScalarId x, int64_t quarter) {
  const Reduced r = reduce(e, x);
  const ScalarId turn = e.iop(Scalar::Add, r.n, e.integer(quarter));
  const ScalarId value = e.select(has_bit(e, turn, 1), r.cosine, r.sine);
  return e.select(has_bit(e, turn, 2), e.neg(value), value);
}

// In f64.
ScalarId tangent(Emitter& e, ScalarId x) {
  const Reduced r = reduce(e, x);
  const ScalarId odd = has_bit(e, r.n, 1);
  const ScalarId above = e.select(odd, e.neg(r.cosine), r.sine);
  return e.div(above, e.select(odd, r.sine, r.cosine));
}

}  // namespace

ScalarId expand_Sin(Emitter& e, ScalarId x, ScalarId) {
  const ScalarId value = e.in_double([](Emitter& w, ScalarId v) { return sine(w, v, 0); }, x);
  return e.select(e.eq(x, e.number(0)), x, value);  // the reduction loses the sign of -0
}

ScalarId expand_Cos(Emitter& e, ScalarId x, ScalarId) {
  return e.in_double([](Emitter& w, ScalarId v) { return sine(w, v, 1); }, x);
}

ScalarId expand_Tan(Emitter& e, ScalarId x, ScalarId) {
  return e.select(e.eq(x, e.number(0)), x, e.in_double(tangent, x));  // as for sin
}

}  // namespace lathe::math
