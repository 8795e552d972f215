// Elementwise ops of two operands, and select.
#include <cmath>

#include "ir/ops/elementwise.h"

namespace lathe {
namespace {

using namespace elementwise;  // NOLINT: the records below are written in its terms

constexpr std::string_view kIntegersOnly = "integers and booleans have no gradient";
constexpr std::string_view kStep = "a comparison is constant almost everywhere";

void vjp_div(Vjp& v) {
  const Expr g = v.g() / v.in(1);
  v.give(0, g);
  if (v.wants(1)) v.give(1, neg(g * v.out()));
}

// a = q*b + out with q = trunc(a/b) locally constant: da = 1, db = -q. Rounding recovers q exactly
// while it is below 2^mantissa bits.
void vjp_rem(Vjp& v) {
  v.give(0, v.g());
  if (v.wants(1)) v.give(1, neg(v.g() * round_even((v.in(0) - v.out()) / v.in(1))));
}

// d(a^b) = b a^(b-1) da + a^b log(a) db. Where b = 0 the first term is 0 even at a = 0; where
// a <= 0 the second is taken as 0 (its limit at 0 for b > 0; the logarithm does not exist below).
// What is selected away is kept finite, so that second derivatives stay NaN-free too.
void vjp_pow(Vjp& v) {
  const Expr a = v.in(0), b = v.in(1), g = v.g();
  const Expr zero = full_like(a, 0), one = full_like(a, 1);
  if (v.wants(0)) {
    const Expr flat = eq(b, zero);
    const Expr slope = b * pow(a, select(flat, zero, b - 1));
    v.give(0, select(flat, zero, g * slope));
  }
  if (v.wants(1)) {
    const Expr positive = lt(zero, a);
    v.give(1, select(positive, g * v.out() * log(select(positive, a, one)), zero));
  }
}

// All of the cotangent goes to operand 0 where `first`, else to operand 1.
void give_where(Vjp& v, const Expr& first) {
  const Expr g = v.g(), zero = full_like(g, 0);
  if (v.wants(0)) v.give(0, select(first, g, zero));
  if (v.wants(1)) v.give(1, select(first, zero, g));
}

Result<Types> infer_select(const InferArgs& args) {
  const Result<TensorType> type = common_type(args, Takes::Any, 1);
  if (!type) return failure("{}", type.error());
  const TensorType& condition = args.operand(0);
  if (condition.dtype != DType::boolean)  // [select-1]
    return failure("the condition has element type {}, bool is expected", name(condition.dtype));
  if (!(condition.shape == type->shape))  // [select-2]
    return failure("the condition has shape [{}], [{}] is expected", condition.shape.text(),
                   type->shape.text());
  return Types{*type};
}

void eval_select(Evaluation& e) {
  for (int64_t k = 0; k < e.out().size(); ++k)
    e.out().copy_element(k, e.in(element<bool>(e.in(0), k) ? 1 : 2), k);
}

ScalarId lower_select(Lowering& l, const Node& n, int, const Index& at) {
  const ScalarId c = l.pull(n.operands[0], at);
  const ScalarId a = l.pull(n.operands[1], at);
  const ScalarId b = l.pull(n.operands[2], at);
  return l.emit(Scalar::Select, compute_type(n.types[0].dtype), {c, a, b});
}

void vjp_select(Vjp& v) {
  const Expr c = v.in(0), g = v.g(), zero = full_like(g, 0);
  if (v.wants(1)) v.give(1, select(c, g, zero));
  if (v.wants(2)) v.give(2, select(c, zero, g));
}

}  // namespace

LATHE_OP(add, {.name = "add",
               .arity = 2,
               .commutative = true,
               .infer = infer_same<Takes::Number>,
               .eval = eval_binary<Takes::Number, [](auto a, auto b) { return scalar::add(a, b); }>,
               .lower = lower_binary<Scalar::Add>,
               .vjp = [](Vjp& v) { v.give(0, v.g()), v.give(1, v.g()); },
               .range = ranges::of_add});

LATHE_OP(sub, {.name = "sub",
               .arity = 2,
               .infer = infer_same<Takes::Number>,
               .eval = eval_binary<Takes::Number, [](auto a, auto b) { return scalar::sub(a, b); }>,
               .lower = lower_binary<Scalar::Sub>,
               .vjp = [](Vjp& v) { v.give(0, v.g()), v.give(1, neg(v.g())); },
               .range = ranges::of_sub});

LATHE_OP(mul, {.name = "mul",
               .arity = 2,
               .commutative = true,
               .infer = infer_same<Takes::Number>,
               .eval = eval_binary<Takes::Number, [](auto a, auto b) { return scalar::mul(a, b); }>,
               .lower = lower_binary<Scalar::Mul>,
               .vjp = [](Vjp& v) { v.give(0, v.g() * v.in(1)), v.give(1, v.g() * v.in(0)); },
               .range = ranges::of_mul});

LATHE_OP(div, {.name = "div",
               .arity = 2,
               .infer = infer_same<Takes::Number>,
               .eval = eval_binary<Takes::Number, [](auto a, auto b) { return scalar::div(a, b); }>,
               .lower = lower_binary<Scalar::Div>,
               .vjp = vjp_div,
               .range = ranges::of_div});

LATHE_OP(rem, {.name = "rem",
               .arity = 2,
               .infer = infer_same<Takes::Number>,
               .eval = eval_binary<Takes::Number, [](auto a, auto b) { return scalar::rem(a, b); }>,
               .lower = lower_binary<Scalar::Rem>,
               .vjp = vjp_rem});

LATHE_OP(pow, {.name = "pow",
               .arity = 2,
               .infer = infer_same<Takes::Float>,
               .eval = eval_binary<Takes::Float, [](double a, double b) { return std::pow(a, b); }>,
               .lower = lower_binary<Scalar::Pow>,
               .vjp = vjp_pow});

LATHE_OP(max, {.name = "max",
               .arity = 2,
               .infer = infer_same<Takes::Number>,
               .eval = eval_binary<Takes::Number, [](auto a, auto b) { return scalar::max(a, b); }>,
               .lower = lower_binary<Scalar::Max>,
               .vjp = [](Vjp& v) { give_where(v, ge(v.in(0), v.in(1))); },
               .range = ranges::of_max});

LATHE_OP(min, {.name = "min",
               .arity = 2,
               .infer = infer_same<Takes::Number>,
               .eval = eval_binary<Takes::Number, [](auto a, auto b) { return scalar::min(a, b); }>,
               .lower = lower_binary<Scalar::Min>,
               .vjp = [](Vjp& v) { give_where(v, le(v.in(0), v.in(1))); },
               .range = ranges::of_min});

LATHE_OP(bit_and,
         {.name = "bit_and",
          .arity = 2,
          .commutative = true,
          .infer = infer_same<Takes::Logical>,
          .eval = eval_binary<Takes::Logical, [](auto a, auto b) { return scalar::bit_and(a, b); }>,
          .lower = lower_binary<Scalar::And>,
          .no_gradient = kIntegersOnly,
          .range = ranges::of_and});

LATHE_OP(bit_or,
         {.name = "bit_or",
          .arity = 2,
          .commutative = true,
          .infer = infer_same<Takes::Logical>,
          .eval = eval_binary<Takes::Logical, [](auto a, auto b) { return scalar::bit_or(a, b); }>,
          .lower = lower_binary<Scalar::Or>,
          .no_gradient = kIntegersOnly,
          .range = ranges::of_or});

LATHE_OP(bit_xor,
         {.name = "bit_xor",
          .arity = 2,
          .commutative = true,
          .infer = infer_same<Takes::Logical>,
          .eval = eval_binary<Takes::Logical, [](auto a, auto b) { return scalar::bit_xor(a, b); }>,
          .lower = lower_binary<Scalar::Xor>,
          .no_gradient = kIntegersOnly});

LATHE_OP(shift_left,
         {.name = "shift_left",
          .arity = 2,
          .infer = infer_same<Takes::Integer>,
          .eval = eval_binary<Takes::Integer, [](auto a, auto b) { return scalar::shl(a, b); }>,
          .lower = lower_binary<Scalar::Shl>,
          .no_gradient = kIntegersOnly});

LATHE_OP(shift_right,
         {.name = "shift_right",
          .arity = 2,
          .infer = infer_same<Takes::Integer>,
          .eval = eval_binary<Takes::Integer, [](auto a, auto b) { return scalar::shr(a, b); }>,
          .lower = lower_binary<Scalar::Shr>,
          .no_gradient = kIntegersOnly});

LATHE_OP(eq, {.name = "eq",
              .arity = 2,
              .commutative = true,
              .infer = infer_compare<Takes::Any>,
              .eval = eval_binary<Takes::Any, [](auto a, auto b) { return a == b; }>,
              .lower = lower_binary<Scalar::Eq>,
              .no_gradient = kStep});

LATHE_OP(ne, {.name = "ne",
              .arity = 2,
              .commutative = true,
              .infer = infer_compare<Takes::Any>,
              .eval = eval_binary<Takes::Any, [](auto a, auto b) { return a != b; }>,
              .lower = lower_binary<Scalar::Ne>,
              .no_gradient = kStep});

LATHE_OP(lt, {.name = "lt",
              .arity = 2,
              .infer = infer_compare<Takes::Number>,
              .eval = eval_binary<Takes::Number, [](auto a, auto b) { return a < b; }>,
              .lower = lower_binary<Scalar::Lt>,
              .no_gradient = kStep,
              .range = ranges::of_lt});

LATHE_OP(le, {.name = "le",
              .arity = 2,
              .infer = infer_compare<Takes::Number>,
              .eval = eval_binary<Takes::Number, [](auto a, auto b) { return a <= b; }>,
              .lower = lower_binary<Scalar::Le>,
              .no_gradient = kStep,
              .range = ranges::of_le});

LATHE_OP(select, {.name = "select",
                  .arity = 3,
                  .infer = infer_select,
                  .eval = eval_select,
                  .lower = lower_select,
                  .vjp = vjp_select,
                  .range = ranges::of_select});

}  // namespace lathe
