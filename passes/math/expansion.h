// How transcendental scalars become machine scalars: an Emitter appends instructions, an expansion
// writes one scalar with it. Expansions stand in the files beside this one, by family. The largest
// errors are said at the top of each; tests/accuracy_test.cpp holds them to it, by the case table.
#pragma once

#include <initializer_list>
#include <limits>
#include <span>
#include <vector>

#include "ir/kernel.h"

namespace lathe::math {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Appends instructions to a kernel's body; values are of one float type, f32 or f64.
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
    return push(std::move(i));
  }
  ScalarId number(double v) {
    Instr i;
    i.type = type_;
    i.number = single() ? static_cast<double>(static_cast<float>(v)) : v;
    return push(std::move(i));
  }
  ScalarId integer(int64_t v) {
    Instr i;
    i.type = int_type();
    i.integer = v;
    return push(std::move(i));
  }

  ScalarId add(ScalarId a, ScalarId b) { return op(Scalar::Add, type_, {a, b}); }
  ScalarId sub(ScalarId a, ScalarId b) { return op(Scalar::Sub, type_, {a, b}); }
  ScalarId mul(ScalarId a, ScalarId b) { return op(Scalar::Mul, type_, {a, b}); }
  ScalarId div(ScalarId a, ScalarId b) { return op(Scalar::Div, type_, {a, b}); }
  ScalarId fma(ScalarId a, ScalarId b, ScalarId c) { return op(Scalar::Fma, type_, {a, b, c}); }
  ScalarId neg(ScalarId a) { return op(Scalar::Neg, type_, {a}); }
  ScalarId abs(ScalarId a) { return op(Scalar::Abs, type_, {a}); }
  ScalarId floor(ScalarId a) { return op(Scalar::Floor, type_, {a}); }
  ScalarId lt(ScalarId a, ScalarId b) { return op(Scalar::Lt, DType::boolean, {a, b}); }
  ScalarId eq(ScalarId a, ScalarId b) { return op(Scalar::Eq, DType::boolean, {a, b}); }
  ScalarId both(ScalarId a, ScalarId b) { return op(Scalar::And, DType::boolean, {a, b}); }
  ScalarId either(ScalarId a, ScalarId b) { return op(Scalar::Or, DType::boolean, {a, b}); }
  ScalarId negate(ScalarId a) { return op(Scalar::Not, DType::boolean, {a}); }
  ScalarId select(ScalarId c, ScalarId a, ScalarId b) {
    return op(Scalar::Select, type_, {c, a, b});
  }
  ScalarId cast(DType t, ScalarId a) { return op(Scalar::Cast, t, {a}); }
  ScalarId scale2(ScalarId a, ScalarId n) { return op(Scalar::Scale2, type_, {a, n}); }

  // On integers of the float type's width.
  ScalarId iop(Scalar s, ScalarId a, ScalarId b) { return op(s, int_type(), {a, b}); }
  ScalarId bits(ScalarId a) { return op(Scalar::Bitcast, int_type(), {a}); }
  ScalarId from_bits(ScalarId a) { return op(Scalar::Bitcast, type_, {a}); }

  // Limits x to [low, high]; NaN passes.
  ScalarId clamp(ScalarId x, double low, double high) {
    const ScalarId l = number(low), above = at_most(x, high);
    return select(lt(above, l), l, above);
  }
  ScalarId at_most(ScalarId x, double high) {
    const ScalarId h = number(high);
    return select(lt(h, x), h, x);
  }
  // `magnitude`, which is not negative, with x's sign bit: -0 keeps its sign.
  ScalarId with_sign(ScalarId magnitude, ScalarId x) {
    const ScalarId sign = iop(Scalar::And, bits(x), integer(single() ? INT32_MIN : INT64_MIN));
    return from_bits(iop(Scalar::Or, bits(magnitude), sign));
  }
  // sum coefficients[i] * x^i, highest first in Horner's order.
  ScalarId polynomial(ScalarId x, std::span<const double> coefficients) {
    ScalarId p = number(coefficients.back());
    for (size_t i = coefficients.size() - 1; i-- > 0;) p = fma(p, x, number(coefficients[i]));
    return p;
  }

  // The integer nearest to x * factor, ties to even, as a number and as an integer, where it is
  // below 2^22 (f64: 2^51) in magnitude: 1.5 * 2^23 (f64: 2^52) added leaves it in the low bits.
  struct Nearest {
    ScalarId number, integer;
  };
  Nearest nearest(ScalarId x, double factor) {
    const double shift = single() ? 0x1.8p23 : 0x1.8p52;
    const int64_t shift_bits = single() ? 0x4b400000 : 0x4338000000000000;
    const ScalarId s = number(shift), sum = factor == 1 ? add(x, s) : fma(x, number(factor), s);
    return {sub(sum, s), iop(Scalar::Sub, bits(sum), integer(shift_bits))};
  }

  // The value of f(an f64 emitter, the operands as f64), rounded once to this type.
  template <class F, class... Operands>
  ScalarId in_double(F&& f, Operands... operands) {
    if (type_ == DType::f64) return f(*this, operands...);
    Emitter wide(body_, DType::f64);
    return cast(type_, f(wide, wide.cast(DType::f64, operands)...));
  }

 private:
  ScalarId push(Instr i) {
    body_.push_back(std::move(i));
    return static_cast<ScalarId>(body_.size()) - 1;
  }

  std::vector<Instr>& body_;
  DType type_;
};

// expand_Exp and so on: a row of scalar.def in terms of x, and of y if it has two operands, which
// are of the emitter's type.
#define EXPANDED(id, text, operands) ScalarId expand_##id(Emitter& e, ScalarId x, ScalarId y);
#include "ir/scalar.def"

}  // namespace lathe::math
