// erf. Largest errors, in units in the last place of the result's type, over the whole range,
// subnormal results included:
//   f32 1   f64 1.1
// erf(+-inf) = +-1, from |x| = 4 (f32) or 6 (f64) on already; erf(-0) = -0.
//
// Method: below |x| = 1 x + x P(x^2); above, 1 - erfc(|x|) with erfc as a power of two, whose
// exponent log2 erfc(1 + u) is c + u Q(u). It is split at the nearest integer n before its last
// addition, so that what is left, r = (c - n) + u Q(u), has the rounding error of a number below 1.
// The polynomials are minimax in relative error of the result (Remez exchange in 60 digits, the
// low coefficients rounded before the others were fitted); their own errors are below 0.15 ulp.
#include <array>

#include "passes/math/expansion.h"

namespace lathe::math {
namespace {

struct Coefficients {
  std::span<const double> p;
  double c;
  std::span<const double> q;
  std::span<const double> power;  // 2^r, |r| <= 1/2
  double largest;                 // erf is 1 to the last bit from here on
};

constexpr std::array kP32 = {0x1.06eba8p-3, -0x1.81273ep-2,  0x1.ce2ce6p-4, -0x1.b7f71ap-6,
                             0x1.53f22ep-8, -0x1.a351d2p-11, 0x1.4773a6p-14};
constexpr std::array kQ32 = {-0x1.e752d8p+1, -0x1.376c3ep+0, -0x1.e55dfcp-5, 0x1.acb134p-7,
                             -0x1.b86572p-10};
constexpr std::array kPower32 = {0x1p+0,        0x1.62e432p-1, 0x1.ebfbe6p-3, 0x1.c6ada8p-5,
                                 0x1.3b21c2p-7, 0x1.5fbd5p-10, 0x1.4beda0p-13};

constexpr std::array kP64 = {
    0x1.06eba8214db68p-3,  -0x1.812746b03799dp-2,  0x1.ce2f21a03f8bap-4,  -0x1.b82ce311a9854p-6,
    0x1.565bcceedbc18p-8,  -0x1.c02daeb753f0dp-11, 0x1.f9a296be0b81bp-14, -0x1.f4c82fb787c54p-17,
    0x1.b96b5fcce38aap-20, -0x1.5b8ca8d7e6cbap-23, 0x1.d3df8b7c6f567p-27, -0x1.a2447380ea37fp-31};
constexpr std::array kQ64 = {-0x1.e75328fe78c2ep+1,  -0x1.37627e9b5d829p+0,  -0x1.eb313685f1ca6p-5,
                             0x1.da5764100f1aap-7,   -0x1.7603d9ba1da7bp-9,  0x1.6701acc883eddp-12,
                             0x1.3e3e34f82b377p-15,  -0x1.492b375d8dd48p-15, 0x1.d43302ef5136fp-17,
                             -0x1.9cf1ab3cce302p-19, 0x1.3e4810d61a7a3p-22,  0x1.64b5c20c4ecdep-24,
                             -0x1.9b3e00d6d31f8p-25, 0x1.a30a6d9503706p-27,  -0x1.02e79d1eb413ep-29,
                             0x1.758070e7f0a01p-33,  -0x1.e556244e88b45p-38};
constexpr std::array kPower64 = {0x1p+0,
                                 0x1.62e42fefa39f3p-1,
                                 0x1.ebfbdff82c599p-3,
                                 0x1.c6b08d7048dc4p-5,
                                 0x1.3b2ab6fba1afbp-7,
                                 0x1.5d87fe7bf7b9ap-10,
                                 0x1.4309130a33279p-13,
                                 0x1.ffcbed3c385e1p-17,
                                 0x1.62bfd21f945b9p-20,
                                 0x1.b5433f4102e45p-24,
                                 0x1.e60af555464c6p-28,
                                 0x1.bded2d83a18d3p-32};

constexpr Coefficients kSingle = {kP32, -0x1.558eaep+1, kQ32, kPower32, 4};
constexpr Coefficients kDouble = {kP64, -0x1.558eada6637f3p+1, kQ64, kPower64, 6};

}  // namespace

ScalarId expand_Erf(Emitter& e, ScalarId x, ScalarId) {
  const Coefficients& k = e.single() ? kSingle : kDouble;
  const ScalarId magnitude = e.abs(x), one = e.number(1);
  const ScalarId near = e.fma(x, e.polynomial(e.mul(x, x), k.p), x);

  const ScalarId u = e.sub(e.at_most(magnitude, k.largest), one);
  const ScalarId q = e.polynomial(u, k.q), c = e.number(k.c);
  const Emitter::Nearest n = e.nearest(e.fma(u, q, c), 1);
  const ScalarId r = e.fma(u, q, e.sub(c, n.number));
  const ScalarId erfc = e.scale2(e.polynomial(r, k.power), n.integer);
  const ScalarId far = e.with_sign(e.sub(one, erfc), x);
  return e.select(e.lt(magnitude, one), near, far);
}

}  // namespace lathe::math
