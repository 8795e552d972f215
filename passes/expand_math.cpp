// Transcendental scalars as machine scalars: one numeric truth for every backend.
//
// Largest errors, in units in the last place of the result's type, as tests/expand_math_test.cpp
// checks them over the whole range (subnormal results included unless said otherwise):
//   f32  exp 1   log 1   tanh 3   sigmoid 2.5   pow 0.6   sin, cos 0.6 for |x| < 2^30
//   f64  exp 1   log 1   tanh 3   sigmoid 2.5   sin, cos 1 (of 1, absolute) for |x| < 2^30
//        pow 2 + 2 |y log x|
// NaN operands give NaN (but pow(x, 0) = pow(1, y) = 1, as in IEEE 754-2019 9.2.1).
//
// Methods: exp and expm1 by x = n ln2 + r with a two-part ln2 and a Taylor polynomial in
// |r| <= ln2/2; log as in fdlibm's e_log.c (s = f/(2+f), odd series); sin and cos by a three-part
// pi/2 (Cody & Waite, 1980), always in f64; pow by log and exp in f64.
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "passes/kernel_passes.h"

namespace lathe {
namespace {

class Emitter {
 public:
  Emitter(std::vector<Instr>& body, DType type) : body_(body), type_(type) {}

  DType type() const { return type_; }
  bool single() const { return type_ == DType::f32; }
  DType int_type() const { return single() ? DType::i32 : DType::i64; }

  ScalarId op(Scalar s, DType type, std::initializer_list<ScalarId> args) {
    Instr i;
    i.op = s;
    i.type = type;
    size_t k = 0;
    for (ScalarId a : args) i.args[k++] = a;
    body_.push_back(i);
    return static_cast<ScalarId>(body_.size()) - 1;
  }
  ScalarId number(double v) {
    Instr i;
    i.type = type_;
    i.number = single() ? static_cast<double>(static_cast<float>(v)) : v;
    body_.push_back(i);
    return static_cast<ScalarId>(body_.size()) - 1;
  }
  ScalarId integer(int64_t v) {
    Instr i;
    i.type = int_type();
    i.integer = v;
    body_.push_back(i);
    return static_cast<ScalarId>(body_.size()) - 1;
  }

  ScalarId add(ScalarId a, ScalarId b) { return op(Scalar::Add, type_, {a, b}); }
  ScalarId sub(ScalarId a, ScalarId b) { return op(Scalar::Sub, type_, {a, b}); }
  ScalarId mul(ScalarId a, ScalarId b) { return op(Scalar::Mul, type_, {a, b}); }
  ScalarId div(ScalarId a, ScalarId b) { return op(Scalar::Div, type_, {a, b}); }
  ScalarId fma(ScalarId a, ScalarId b, ScalarId c) { return op(Scalar::Fma, type_, {a, b, c}); }
  ScalarId neg(ScalarId a) { return op(Scalar::Neg, type_, {a}); }
  ScalarId abs(ScalarId a) { return op(Scalar::Abs, type_, {a}); }
  ScalarId round(ScalarId a) { return op(Scalar::RoundEven, type_, {a}); }
  ScalarId lt(ScalarId a, ScalarId b) { return op(Scalar::Lt, DType::boolean, {a, b}); }
  ScalarId eq(ScalarId a, ScalarId b) { return op(Scalar::Eq, DType::boolean, {a, b}); }
  ScalarId both(ScalarId a, ScalarId b) { return op(Scalar::And, DType::boolean, {a, b}); }
  ScalarId select(ScalarId c, ScalarId a, ScalarId b) { return select_as(type_, c, a, b); }
  ScalarId select_as(DType t, ScalarId c, ScalarId a, ScalarId b) {
    return op(Scalar::Select, t, {c, a, b});
  }
  ScalarId cast(DType t, ScalarId a) { return op(Scalar::Cast, t, {a}); }
  ScalarId iop(Scalar s, ScalarId a, ScalarId b) { return op(s, int_type(), {a, b}); }
  ScalarId scale2(ScalarId a, ScalarId n) { return op(Scalar::Scale2, type_, {a, n}); }

  // Limits x to [low, high]; NaN passes.
  ScalarId clamp(ScalarId x, double low, double high) {
    const ScalarId l = number(low), h = number(high);
    const ScalarId above = select(lt(h, x), h, x);
    return select(lt(above, l), l, above);
  }
  // sum coefficients[i] * x^i, highest first in Horner's order.
  ScalarId polynomial(ScalarId x, const std::vector<double>& coefficients) {
    ScalarId p = number(coefficients.back());
    for (size_t i = coefficients.size() - 1; i-- > 0;) p = fma(p, x, number(coefficients[i]));
    return p;
  }

 private:
  std::vector<Instr>& body_;
  DType type_;
};

// 1/first!, 1/(first+1)!, .. (`count` of them).
std::vector<double> inverse_factorials(int first, int count) {
  std::vector<double> out;
  for (int i = first; i < first + count; ++i) out.push_back(1 / std::tgamma(i + 1.0));
  return out;
}

struct Reduced {
  ScalarId n, r;  // x = n ln2 + r, n an integer in x's type
};

Reduced reduce_by_ln2(Emitter& e, ScalarId x) {
  // The high parts have trailing zeros enough for n * high to be exact.
  const double high = e.single() ? 0x1.62e4p-1 : 0x1.62e42fefa0000p-1;
  const double low = e.single() ? 0x1.7f7d1cp-20 : 0x1.cf79abc9e3b3ap-40;
  const ScalarId n = e.round(e.mul(x, e.number(std::numbers::log2e)));
  const ScalarId r = e.fma(n, e.number(-high), x);
  return {n, e.fma(n, e.number(-low), r)};
}

ScalarId exp(Emitter& e, ScalarId x) {
  // Beyond these the result is infinity or zero whatever x is.
  const double largest = e.single() ? 89 : 710, smallest = e.single() ? -104.5 : -746;
  const Reduced reduced = reduce_by_ln2(e, e.clamp(x, smallest, largest));
  const ScalarId p = e.polynomial(reduced.r, inverse_factorials(0, e.single() ? 8 : 14));
  return e.scale2(p, e.cast(e.int_type(), reduced.n));
}

ScalarId log(Emitter& e, ScalarId x) {
  const int mantissa = e.single() ? 23 : 52;
  const double smallest_normal = e.single() ? 0x1p-126 : 0x1p-1022;
  const int64_t sqrt_half = e.single() ? 0x3f3504f3 : 0x3fe6a09e667f3bcd;
  const ScalarId tiny = e.lt(x, e.number(smallest_normal));
  const ScalarId scaled = e.select(tiny, e.mul(x, e.number(std::ldexp(1.0, mantissa + 1))), x);
  const ScalarId bits = e.op(Scalar::Bitcast, e.int_type(), {scaled});
  const ScalarId base = e.integer(sqrt_half);
  const ScalarId above = e.iop(Scalar::Sub, bits, base);
  const ScalarId exponent = e.cast(e.type(), e.iop(Scalar::Shr, above, e.integer(mantissa)));
  const ScalarId k = e.select(tiny, e.sub(exponent, e.number(mantissa + 1)), exponent);
  const ScalarId fraction = e.iop(Scalar::And, above, e.integer((int64_t{1} << mantissa) - 1));
  const ScalarId m = e.op(Scalar::Bitcast, e.type(), {e.iop(Scalar::Add, fraction, base)});

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

  const double infinity = std::numeric_limits<double>::infinity();
  const ScalarId zero = e.number(0), inf = e.number(infinity);
  const ScalarId not_above = e.select(e.lt(x, inf), finite, x);  // +inf and NaN pass
  const ScalarId negative = e.select(e.lt(x, zero), e.number(std::nan("")), not_above);
  return e.select(e.eq(x, zero), e.number(-infinity), negative);
}

// expm1 of 0 <= y: 2^n (expm1(r)) + (2^n - 1), exact in its second part.
ScalarId expm1_positive(Emitter& e, ScalarId y) {
  const Reduced reduced = reduce_by_ln2(e, y);
  const std::vector<double> series = inverse_factorials(2, e.single() ? 6 : 12);
  const ScalarId square = e.mul(reduced.r, reduced.r);
  const ScalarId p = e.fma(square, e.polynomial(reduced.r, series), reduced.r);
  const ScalarId one = e.number(1);
  const ScalarId power = e.scale2(one, e.cast(e.int_type(), reduced.n));
  return e.fma(p, power, e.sub(power, one));
}

ScalarId tanh(Emitter& e, ScalarId x) {
  // tanh x = E / (E + 2), E = expm1(2|x|); 1 to the last bit beyond the limit.
  const ScalarId magnitude = e.clamp(e.abs(x), 0, e.single() ? 9.5 : 19.5);
  const ScalarId big = expm1_positive(e, e.add(magnitude, magnitude));
  const ScalarId t = e.div(big, e.add(big, e.number(2)));
  // The sign bit of x, so that -0 stays -0.
  const ScalarId sign = e.iop(Scalar::And, e.op(Scalar::Bitcast, e.int_type(), {x}),
                              e.integer(e.single() ? INT32_MIN : INT64_MIN));
  return e.op(Scalar::Bitcast, e.type(),
              {e.iop(Scalar::Or, e.op(Scalar::Bitcast, e.int_type(), {t}), sign)});
}

ScalarId sigmoid(Emitter& e, ScalarId x) {
  // exp never overflows this way, and small results keep their digits.
  const ScalarId decay = exp(e, e.neg(e.abs(x)));
  const ScalarId one = e.number(1);
  const ScalarId numerator = e.select(e.lt(x, e.number(0)), decay, one);
  return e.div(numerator, e.add(one, decay));
}

// sin(x + quarter * pi/2) in f64.
ScalarId sine(Emitter& e, ScalarId x, int64_t quarter) {
  const ScalarId n = e.round(e.mul(x, e.number(2 / std::numbers::pi)));
  ScalarId r = e.fma(n, e.number(-0x1.921fb54442d18p+0), x);
  r = e.fma(n, e.number(-0x1.1a62633145c07p-54), r);
  r = e.fma(n, e.number(0x1.f1976b7ed8fbcp-110), r);
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
  const ScalarId turn = e.iop(Scalar::Add, e.cast(DType::i64, n), e.integer(quarter));
  const auto bit = [&](int64_t mask) {
    return e.op(Scalar::Ne, DType::boolean,
                {e.iop(Scalar::And, turn, e.integer(mask)), e.integer(0)});
  };
  const ScalarId value = e.select(bit(1), c, s);
  return e.select(bit(2), e.neg(value), value);
}

ScalarId pow(Emitter& e, ScalarId x, ScalarId y) {
  const double infinity = std::numeric_limits<double>::infinity();
  const ScalarId one = e.number(1), zero = e.number(0);
  const ScalarId magnitude = exp(e, e.mul(y, log(e, e.abs(x))));
  // Odd integers have a fractional half; from 2^53 on all are even.
  const ScalarId whole = e.eq(e.op(Scalar::Floor, e.type(), {y}), y);
  const ScalarId half = e.mul(y, e.number(0.5));
  const ScalarId even = e.eq(e.op(Scalar::Floor, e.type(), {half}), half);
  const ScalarId odd = e.both(whole, e.op(Scalar::Not, DType::boolean, {even}));
  // The sign of x, seen through 1/x so that -0 counts as negative.
  const ScalarId negative = e.lt(e.div(one, x), zero);
  const ScalarId minus_infinity = e.eq(x, e.number(-infinity));
  const ScalarId is_negative = e.op(Scalar::Or, DType::boolean, {negative, minus_infinity});
  const ScalarId flipped = e.select(e.both(is_negative, odd), e.neg(magnitude), magnitude);
  const ScalarId finite_negative = e.both(e.lt(x, zero), e.lt(e.number(-infinity), x));
  const ScalarId undefined = e.both(finite_negative, e.op(Scalar::Not, DType::boolean, {whole}));
  const ScalarId value = e.select(undefined, e.number(std::nan("")), flipped);
  // (-1)^inf = 1 although inf has no parity; y = 0 and x = 1 are 1 even beside NaN.
  const ScalarId endless = e.eq(e.abs(y), e.number(infinity));
  const ScalarId unit = e.both(e.eq(e.abs(x), one), endless);
  const ScalarId trivial =
      e.op(Scalar::Or, DType::boolean,
           {e.eq(y, zero), e.op(Scalar::Or, DType::boolean, {e.eq(x, one), unit})});
  return e.select(trivial, one, value);
}

// Computes in f64 and rounds once.
template <class F>
ScalarId in_double(std::vector<Instr>& body, DType type, F&& f) {
  Emitter wide(body, DType::f64);
  const ScalarId result = f(wide);
  return type == DType::f64 ? result : wide.cast(type, result);
}

ScalarId expand(std::vector<Instr>& body, Scalar op, DType type, ScalarId a, ScalarId b) {
  Emitter e(body, type);
  const auto widen = [&](Emitter& wide, ScalarId v) {
    return type == DType::f64 ? v : wide.cast(DType::f64, v);
  };
  switch (op) {
    case Scalar::Exp: return exp(e, a);
    case Scalar::Log: return log(e, a);
    case Scalar::Tanh: return tanh(e, a);
    case Scalar::Sigmoid: return sigmoid(e, a);
    case Scalar::Sin:
      return in_double(body, type, [&](Emitter& w) { return sine(w, widen(w, a), 0); });
    case Scalar::Cos:
      return in_double(body, type, [&](Emitter& w) { return sine(w, widen(w, a), 1); });
    case Scalar::Pow:
      return in_double(body, type, [&](Emitter& w) {
        const ScalarId x = widen(w, a);
        return pow(w, x, widen(w, b));
      });
    default: break;
  }
  fail_internal(__FILE__, __LINE__, "an expansion exists", std::string(name(op)));
}

}  // namespace

void expand_math(Kernel& k) {
  std::vector<Instr> body;
  std::vector<ScalarId> map;
  int32_t pre = 0;
  const auto at = [&](ScalarId id) { return id < 0 ? id : map[static_cast<size_t>(id)]; };
  for (size_t i = 0; i < k.body.size(); ++i) {
    if (static_cast<int32_t>(i) == k.pre) pre = static_cast<int32_t>(body.size());
    Instr instr = k.body[i];
    for (ScalarId& a : instr.args) a = at(a);
    for (IndirectTerm& t : instr.access.indirect) t.value = at(t.value);
    if (info(instr.op).cls == ScalarClass::expanded) {
      // f16 and bf16 values are held as f32; the cast gives them that type.
      for (ScalarId& a : instr.args)
        if (a >= 0 && body[static_cast<size_t>(a)].type != instr.type)
          a = Emitter(body, instr.type).cast(instr.type, a);
      map.push_back(expand(body, instr.op, instr.type, instr.args[0], instr.args[1]));
    } else {
      body.push_back(std::move(instr));
      map.push_back(static_cast<ScalarId>(body.size()) - 1);
    }
  }
  if (k.pre == std::ssize(k.body)) pre = static_cast<int32_t>(body.size());
  k.body = std::move(body);
  k.pre = pre;
  for (Reduction& r : k.reductions) r.a = at(r.a), r.b = at(r.b);
  for (Store& s : k.stores) {
    s.value = at(s.value);
    for (IndirectTerm& t : s.access.indirect) t.value = at(t.value);
  }
}

}  // namespace lathe
