// Elementwise arithmetic, comparison, logic and casts.
#include <cmath>
#include <limits>

#include "frontend/onnx/convert.h"
#include "frontend/onnx/row.h"
#include "frontend/onnx/stored.h"

namespace lathe::onnx {
namespace {

// NaN stays; of zeros the sign does not matter.
Expr sign(const Expr& x) {
  const Expr zero = full_like(x, 0);
  const Expr s = cast(lt(zero, x), x.dtype()) - cast(lt(x, zero), x.dtype());
  return is_float(x.dtype()) ? select(ne(x, x), x, s) : s;
}

Expr reciprocal(const Expr& x) { return 1.0 / x; }
Expr is_nan(const Expr& x) { return ne(x, x); }

Expr bitwise_not(const Expr& x) { return bit_xor(x, integer_constant(*x.graph, x.dtype(), -1)); }

// Python's remainder, which has the sign of b.
Expr floor_mod(const Expr& a, const Expr& b) {
  const Expr r = rem(a, b);
  const Expr zero = full_like(r, 0);
  const Expr opposite = bit_xor(lt(r, zero), lt(broadcast_to(b, r.shape()), zero));
  return select(bit_and(ne(r, zero), opposite), r + b, r);
}

void mod(OpContext& c) {
  const Expr a = c.expr(0), b = c.expr(1);
  c.out(c.attr_int("fmod", 0) != 0 ? rem(a, b) : floor_mod(a, b));
}

// The result has the type of the base; integers are computed in double.
void power(OpContext& c) {
  const auto [a, b] = operands(c);
  if (is_float(a.dtype())) {
    c.out(pow(a, cast(b, a.dtype())));
    return;
  }
  c.out(cast(round_even(pow(cast(a, DType::f64), cast(b, DType::f64))), a.dtype()));
}

void bit_shift(OpContext& c) {
  const std::string direction = c.attr_text("direction");
  if (direction != "LEFT" && direction != "RIGHT")
    fail("direction is '{}', LEFT or RIGHT was expected", direction);
  c.out(direction == "LEFT" ? shift_left(c.expr(0), c.expr(1)) : shift_right(c.expr(0), c.expr(1)));
}

void is_inf(OpContext& c) {
  const Expr x = c.expr(0);
  const bool negative = c.attr_int("detect_negative", 1) != 0;
  const bool positive = c.attr_int("detect_positive", 1) != 0;
  const double infinity = std::numeric_limits<double>::infinity();
  Expr found = full(c.graph(), {DType::boolean, x.shape()}, 0);
  if (negative) found = bit_or(found, eq(x, -infinity));
  if (positive) found = bit_or(found, eq(x, infinity));
  c.out(found);
}

void equal(OpContext& c) {
  if (!c.input(0).is_string()) return binary<eq>(c);
  if (!c.input(1).is_string()) fail("strings and {}", c.input(1).signature());
  c.host([](HostServices&, const std::vector<Value>& in) {
    const HostTensor &a = in[0].known, &b = in[1].known;
    const Shape shape(a.dims().size() >= b.dims().size() ? a.dims() : b.dims());
    Dims dims = shape.static_dims();
    const auto dim_of = [&](const HostTensor& t, size_t axis) {
      const size_t missing = dims.size() - t.dims().size();
      return axis < missing ? 1 : t.dims()[axis - missing];
    };
    for (size_t i = 0; i < dims.size(); ++i) {
      const int64_t da = dim_of(a, i), db = dim_of(b, i);
      if (da != db && da != 1 && db != 1)
        fail("{} and {} do not broadcast", a.type_text(), b.type_text());
      dims[i] = da == 1 ? db : da;
    }
    Tensor out = Tensor::empty(DType::boolean, dims);
    for (int64_t flat = 0; flat < out.size(); ++flat) {
      int64_t rest = flat, at_a = 0, at_b = 0, step_a = 1, step_b = 1;
      for (size_t i = dims.size(); i-- > 0;) {
        const int64_t index = rest % dims[i];
        rest /= dims[i];
        const int64_t da = dim_of(a, i), db = dim_of(b, i);
        at_a += (da == 1 ? 0 : index) * step_a, at_b += (db == 1 ? 0 : index) * step_b;
        step_a *= da, step_b *= db;
      }
      out.set_int(flat,
                  (*a.strings)[static_cast<size_t>(at_a)] == (*b.strings)[static_cast<size_t>(at_b)]
                      ? 1
                      : 0);
    }
    return std::vector<Value>{Value::of(HostTensor(out))};
  });
}

void where(OpContext& c) { c.out(select(c.expr(0), c.expr(1), c.expr(2))); }

// Limits are attributes up to version 6, inputs after. A NaN stays a NaN.
void clip(OpContext& c) {
  c.ignore({"consumed_inputs"});
  Expr x = c.expr(0);
  if (c.version() < 11) {
    constexpr double kMost = std::numeric_limits<float>::max();
    c.out(min(max(x, c.attr_float("min", -kMost)), c.attr_float("max", kMost)));
    return;
  }
  if (c.has(1)) x = max(x, c.expr(1));
  if (c.has(2)) x = min(x, c.expr(2));
  c.out(x);
}

void mean(OpContext& c) {
  Expr sum = c.expr(0);
  c.ignore({"consumed_inputs"});
  for (int i = 1; i < c.inputs(); ++i) sum = sum + c.expr(i);
  c.out(sum / static_cast<double>(c.inputs()));
}

void cast_to(OpContext& c, ElemType to, const CastRules& rules) {
  const ElemType from = c.elem(0);
  if (to == ElemType::Undefined) fail("the element type to cast to is unknown");
  if (from == to) {
    c.out(c.input(0));
    return;
  }
  if (from != ElemType::String && to != ElemType::String) {
    c.out(cast_to_elem(c.expr(0), to, rules), to);
    return;
  }
  c.host(
      [=](HostServices&, const std::vector<Value>& in) {
        return std::vector<Value>{Value::of(convert(in[0].known, to, rules))};
      },
      {c.input(0)});
}

constexpr std::pair<std::string_view, ElemType> kOldNames[] = {
    {"FLOAT", ElemType::Float},   {"DOUBLE", ElemType::Double}, {"FLOAT16", ElemType::Float16},
    {"INT8", ElemType::Int8},     {"INT16", ElemType::Int16},   {"INT32", ElemType::Int32},
    {"INT64", ElemType::Int64},   {"UINT8", ElemType::UInt8},   {"UINT16", ElemType::UInt16},
    {"UINT32", ElemType::UInt32}, {"UINT64", ElemType::UInt64}, {"BOOL", ElemType::Bool},
    {"STRING", ElemType::String},
};

void cast_by_name(OpContext& c) {
  const std::string to = c.attr_text("to");
  for (const auto& [text, type] : kOldNames)
    if (text == to) return cast_to(c, type, {});
  fail("attribute 'to' is '{}', a type's name was expected", to);
}

CastRules cast_rules(OpContext& c) {
  const std::string round = c.attr_text("round_mode", "up");
  if (round != "up" && round != "down" && round != "nearest") fail("round_mode is '{}'", round);
  return {c.attr_int("saturate", 1) != 0, round == "up"     ? PowerRounding::Up
                                          : round == "down" ? PowerRounding::Down
                                                            : PowerRounding::Nearest};
}

void cast_row(OpContext& c) { cast_to(c, elem_type(c.attr_int("to")), cast_rules(c)); }
void cast_like(OpContext& c) { cast_to(c, c.elem(1), cast_rules(c)); }

constexpr OpRow kRows[] = {
    {"Abs", 1, unary<abs>},
    {"Acos", 7, unary<acos>},
    {"Acosh", 9, unary<acosh>},
    {"Add", 1, binary<add>},
    {"And", 1, binary<bit_and>},
    {"Asin", 7, unary<asin>},
    {"Asinh", 9, unary<asinh>},
    {"Atan", 7, unary<atan>},
    {"Atanh", 9, unary<atanh>},
    {"BitShift", 11, bit_shift},
    {"BitwiseAnd", 18, binary<bit_and>},
    {"BitwiseNot", 18, unary<bitwise_not>},
    {"BitwiseOr", 18, binary<bit_or>},
    {"BitwiseXor", 18, binary<bit_xor>},
    {"Cast", 1, cast_by_name},
    {"Cast", 6, cast_row},
    {"CastLike", 15, cast_like},
    {"Ceil", 1, unary<ceil>},
    {"Clip", 1, clip},
    {"Cos", 7, unary<cos>},
    {"Cosh", 9, unary<cosh>},
    {"Div", 1, binary<div>},
    {"Equal", 1, equal},
    {"Erf", 9, unary<erf>},
    {"Exp", 1, unary<exp>},
    {"Floor", 1, unary<floor>},
    {"Greater", 1, binary<gt>},
    {"GreaterOrEqual", 12, binary<ge>},
    {"IsInf", 10, is_inf},
    {"IsNaN", 9, unary<is_nan>},
    {"Less", 1, binary<lt>},
    {"LessOrEqual", 12, binary<le>},
    {"Log", 1, unary<log>},
    {"Max", 1, variadic<max>},
    {"Mean", 1, mean},
    {"Min", 1, variadic<min>},
    {"Mod", 10, mod},
    {"Mul", 1, binary<mul>},
    {"Neg", 1, unary<neg>},
    {"Not", 1, unary<logical_not>},
    {"Or", 1, binary<bit_or>},
    {"Pow", 1, power},
    {"Reciprocal", 1, unary<reciprocal>},
    {"Round", 11, unary<round_even>},
    {"Sign", 9, unary<sign>},
    {"Sin", 7, unary<sin>},
    {"Sinh", 9, unary<sinh>},
    {"Sqrt", 1, unary<sqrt>},
    {"Sub", 1, binary<sub>},
    {"Sum", 1, variadic<add>},
    {"Tan", 7, unary<tan>},
    {"Tanh", 1, unary<tanh>},
    {"Where", 9, where},
    {"Xor", 1, binary<bit_xor>},
};

}  // namespace

std::span<const OpRow> elementwise_rows() { return kRows; }

}  // namespace lathe::onnx
