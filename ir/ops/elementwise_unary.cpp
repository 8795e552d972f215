// Elementwise ops of one operand, cast and bitcast.
#include <bit>
#include <cmath>
#include <numbers>

#include "ir/ops/elementwise.h"

namespace lathe {
namespace {

using namespace elementwise;  // NOLINT: the records below are written in its terms

Result<Types> infer_cast(const InferArgs& args) {
  return Types{{args.get<DTypeAttrs>().dtype, args.operand(0).shape}};
}

// A value of type `From` as the float type `to` holds it: rounded once for f32 and f64, through
// f32 for the 16-bit formats, as Scalar::Cast does.
template <class From>
double cast_to_float(DType to, From v) {
  if (to == DType::f64) return static_cast<double>(v);
  return round_to(to, static_cast<double>(static_cast<float>(v)));
}

void eval_cast(Evaluation& e) {
  const EvalTensor& in = e.in(0);
  EvalTensor& out = e.out();
  visit_eval(in.dtype, [&]<class From>() {
    visit_dtype(out.dtype, [&]<class To>() {
      for (int64_t k = 0; k < out.size(); ++k) {
        const From v = element<From>(in, k);
        if constexpr (std::is_integral_v<To>) set_element(out, k, scalar::cast<To, From>(v));
        else set_element(out, k, cast_to_float(out.dtype, v));
      }
    });
  });
}

ScalarId lower_cast(Lowering& l, const Node& n, int, const Index& at) {
  return l.emit(Scalar::Cast, n.types[0].dtype, {l.pull(n.operands[0], at)});
}

void vjp_cast(Vjp& v) {
  if (is_float(v.out().dtype()) && v.wants(0)) v.give(0, cast(v.g(), v.in(0).dtype()));
}

Result<Types> infer_bitcast(const InferArgs& args) {
  const DType from = args.operand(0).dtype, to = args.get<DTypeAttrs>().dtype;
  if (byte_size(from) != byte_size(to) || byte_size(to) < 4)  // [bitcast-1]
    return failure("bits of {} cannot be read as {}; two types of 4 or of 8 bytes are expected",
                   name(from), name(to));
  return Types{{to, args.operand(0).shape}};
}

// Through the type's own bits: a float is rounded to them first.
int64_t bits_of(const EvalTensor& t, int64_t k) {
  const auto at = static_cast<size_t>(k);
  if (t.dtype == DType::f64) return std::bit_cast<int64_t>(t.f[at]);
  if (t.dtype == DType::f32) return std::bit_cast<int32_t>(static_cast<float>(t.f[at]));
  return t.i[at];
}

void eval_bitcast(Evaluation& e) {
  EvalTensor& out = e.out();
  for (int64_t k = 0; k < out.size(); ++k) {
    const int64_t bits = bits_of(e.in(0), k);
    const auto at = static_cast<size_t>(k);
    if (out.dtype == DType::f64) out.f[at] = std::bit_cast<double>(bits);
    else if (out.dtype == DType::f32) out.f[at] = std::bit_cast<float>(static_cast<int32_t>(bits));
    else out.i[at] = wrap_integer(out.dtype, bits);
  }
}

ScalarId lower_bitcast(Lowering& l, const Node& n, int, const Index& at) {
  const ScalarId bits = l.pull(n.operands[0], at);
  const bool same = l.type(n.operands[0]).dtype == n.types[0].dtype;
  return same ? bits : l.emit(Scalar::Bitcast, n.types[0].dtype, {bits});
}

// abs'(0) = 0, as ONNX and TensorFlow have it.
void vjp_abs(Vjp& v) {
  const Expr x = v.in(0), g = v.g(), zero = full_like(x, 0);
  v.give(0, select(lt(zero, x), g, select(lt(x, zero), neg(g), zero)));
}

}  // namespace

LATHE_OP(neg, {.name = "neg",
               .infer = infer_same<Takes::Number>,
               .eval = eval_unary<Takes::Number, [](auto x) { return scalar::neg(x); }>,
               .lower = lower_unary<Scalar::Neg>,
               .vjp = [](Vjp& v) { v.give(0, neg(v.g())); },
               .range = ranges::of_neg});

LATHE_OP(abs, {.name = "abs",
               .infer = infer_same<Takes::Number>,
               .eval = eval_unary<Takes::Number, [](auto x) { return scalar::abs(x); }>,
               .lower = lower_unary<Scalar::Abs>,
               .vjp = vjp_abs});

LATHE_OP(floor, {.name = "floor",
                 .infer = infer_same<Takes::Float>,
                 .eval = eval_unary<Takes::Float, [](double x) { return std::floor(x); }>,
                 .lower = lower_unary<Scalar::Floor>,
                 .vjp = zero_vjp});

LATHE_OP(ceil, {.name = "ceil",
                .infer = infer_same<Takes::Float>,
                .eval = eval_unary<Takes::Float, [](double x) { return std::ceil(x); }>,
                .lower = lower_unary<Scalar::Ceil>,
                .vjp = zero_vjp});

LATHE_OP(round_even, {.name = "round_even",
                      .infer = infer_same<Takes::Float>,
                      .eval = eval_unary<Takes::Float, [](double x) { return std::nearbyint(x); }>,
                      .lower = lower_unary<Scalar::RoundEven>,
                      .vjp = zero_vjp});

LATHE_OP(trunc, {.name = "trunc",
                 .infer = infer_same<Takes::Float>,
                 .eval = eval_unary<Takes::Float, [](double x) { return std::trunc(x); }>,
                 .lower = lower_unary<Scalar::Trunc>,
                 .vjp = zero_vjp});

LATHE_OP(stop_gradient, {.name = "stop_gradient",
                         .infer = infer_same<Takes::Any>,
                         .eval = eval_unary<Takes::Any, [](auto x) { return x; }>,
                         .lower = [](Lowering& l, const Node& n, int,
                                     const Index& at) { return l.pull(n.operands[0], at); },
                         .vjp = zero_vjp});

LATHE_OP(sqrt, {.name = "sqrt",
                .infer = infer_same<Takes::Float>,
                .eval = eval_unary<Takes::Float, [](double x) { return std::sqrt(x); }>,
                .lower = lower_unary<Scalar::Sqrt>,
                .vjp = [](Vjp& v) { v.give(0, v.g() * 0.5 / v.out()); }});

LATHE_OP(exp, {.name = "exp",
               .infer = infer_same<Takes::Float>,
               .eval = eval_unary<Takes::Float, [](double x) { return std::exp(x); }>,
               .lower = lower_unary<Scalar::Exp>,
               .vjp = [](Vjp& v) { v.give(0, v.g() * v.out()); },
               .range = ranges::of_exp});

LATHE_OP(log, {.name = "log",
               .infer = infer_same<Takes::Float>,
               .eval = eval_unary<Takes::Float, [](double x) { return std::log(x); }>,
               .lower = lower_unary<Scalar::Log>,
               .vjp = [](Vjp& v) { v.give(0, v.g() / v.in(0)); }});

LATHE_OP(tanh, {.name = "tanh",
                .infer = infer_same<Takes::Float>,
                .eval = eval_unary<Takes::Float, [](double x) { return std::tanh(x); }>,
                .lower = lower_unary<Scalar::Tanh>,
                .vjp = [](Vjp& v) { v.give(0, v.g() * (1 - v.out() * v.out())); }});

LATHE_OP(sigmoid,
         {.name = "sigmoid",
          .infer = infer_same<Takes::Float>,
          .eval = eval_unary<Takes::Float, [](double x) { return 1 / (1 + std::exp(-x)); }>,
          .lower = lower_unary<Scalar::Sigmoid>,
          .vjp = [](Vjp& v) { v.give(0, v.g() * v.out() * (1 - v.out())); }});

LATHE_OP(sin, {.name = "sin",
               .infer = infer_same<Takes::Float>,
               .eval = eval_unary<Takes::Float, [](double x) { return std::sin(x); }>,
               .lower = lower_unary<Scalar::Sin>,
               .vjp = [](Vjp& v) { v.give(0, v.g() * cos(v.in(0))); }});

LATHE_OP(cos, {.name = "cos",
               .infer = infer_same<Takes::Float>,
               .eval = eval_unary<Takes::Float, [](double x) { return std::cos(x); }>,
               .lower = lower_unary<Scalar::Cos>,
               .vjp = [](Vjp& v) { v.give(0, neg(v.g() * sin(v.in(0)))); }});

LATHE_OP(erf, {.name = "erf",
               .infer = infer_same<Takes::Float>,
               .eval = eval_unary<Takes::Float, [](double x) { return std::erf(x); }>,
               .lower = lower_unary<Scalar::Erf>,
               .vjp = [](Vjp& v) {
                 const double slope = 2 / std::sqrt(std::numbers::pi);  // at 0
                 v.give(0, v.g() * exp(neg(v.in(0) * v.in(0))) * slope);
               }});

LATHE_OP(tan, {.name = "tan",
               .infer = infer_same<Takes::Float>,
               .eval = eval_unary<Takes::Float, [](double x) { return std::tan(x); }>,
               .lower = lower_unary<Scalar::Tan>,
               .vjp = [](Vjp& v) { v.give(0, v.g() * (v.out() * v.out() + 1)); }});

LATHE_OP(asin, {.name = "asin",
                .infer = infer_same<Takes::Float>,
                .eval = eval_unary<Takes::Float, [](double x) { return std::asin(x); }>,
                .lower = lower_unary<Scalar::Asin>,
                .vjp = [](Vjp& v) {
                  const Expr x = v.in(0);
                  v.give(0, v.g() / sqrt((1 - x) * (x + 1)));
                }});

LATHE_OP(acos, {.name = "acos",
                .infer = infer_same<Takes::Float>,
                .eval = eval_unary<Takes::Float, [](double x) { return std::acos(x); }>,
                .lower = lower_unary<Scalar::Acos>,
                .vjp = [](Vjp& v) {
                  const Expr x = v.in(0);
                  v.give(0, neg(v.g() / sqrt((1 - x) * (x + 1))));
                }});

LATHE_OP(atan, {.name = "atan",
                .infer = infer_same<Takes::Float>,
                .eval = eval_unary<Takes::Float, [](double x) { return std::atan(x); }>,
                .lower = lower_unary<Scalar::Atan>,
                .vjp = [](Vjp& v) { v.give(0, v.g() / (v.in(0) * v.in(0) + 1)); }});

LATHE_OP(sinh, {.name = "sinh",
                .infer = infer_same<Takes::Float>,
                .eval = eval_unary<Takes::Float, [](double x) { return std::sinh(x); }>,
                .lower = lower_unary<Scalar::Sinh>,
                .vjp = [](Vjp& v) { v.give(0, v.g() * cosh(v.in(0))); }});

LATHE_OP(cosh, {.name = "cosh",
                .infer = infer_same<Takes::Float>,
                .eval = eval_unary<Takes::Float, [](double x) { return std::cosh(x); }>,
                .lower = lower_unary<Scalar::Cosh>,
                .vjp = [](Vjp& v) { v.give(0, v.g() * sinh(v.in(0))); }});

LATHE_OP(expm1, {.name = "expm1",
                 .infer = infer_same<Takes::Float>,
                 .eval = eval_unary<Takes::Float, [](double x) { return std::expm1(x); }>,
                 .lower = lower_unary<Scalar::Expm1>,
                 .vjp = [](Vjp& v) { v.give(0, v.g() * (v.out() + 1)); }});

LATHE_OP(log1p, {.name = "log1p",
                 .infer = infer_same<Takes::Float>,
                 .eval = eval_unary<Takes::Float, [](double x) { return std::log1p(x); }>,
                 .lower = lower_unary<Scalar::Log1p>,
                 .vjp = [](Vjp& v) { v.give(0, v.g() / (v.in(0) + 1)); }});

LATHE_OP(asinh, {.name = "asinh",
                 .infer = infer_same<Takes::Float>,
                 .eval = eval_unary<Takes::Float, [](double x) { return std::asinh(x); }>,
                 .lower = lower_unary<Scalar::Asinh>,
                 .vjp = [](Vjp& v) { v.give(0, v.g() / sqrt(v.in(0) * v.in(0) + 1)); }});

LATHE_OP(acosh, {.name = "acosh",
                 .infer = infer_same<Takes::Float>,
                 .eval = eval_unary<Takes::Float, [](double x) { return std::acosh(x); }>,
                 .lower = lower_unary<Scalar::Acosh>,
                 .vjp = [](Vjp& v) {
                   const Expr x = v.in(0);
                   v.give(0, v.g() / sqrt((x - 1) * (x + 1)));
                 }});

LATHE_OP(atanh, {.name = "atanh",
                 .infer = infer_same<Takes::Float>,
                 .eval = eval_unary<Takes::Float, [](double x) { return std::atanh(x); }>,
                 .lower = lower_unary<Scalar::Atanh>,
                 .vjp = [](Vjp& v) {
                   const Expr x = v.in(0);
                   v.give(0, v.g() / ((1 - x) * (x + 1)));
                 }});

LATHE_OP(logical_not, {.name = "logical_not",
                       .infer = infer_same<Takes::Bool>,
                       .eval = eval_unary<Takes::Bool, [](bool x) { return !x; }>,
                       .lower = lower_unary<Scalar::Not>,
                       .no_gradient = "booleans have no gradient",
                       .range = ranges::of_not});

LATHE_OP(cast, {.name = "cast",
                .attrs = attrs_index<DTypeAttrs>,
                .infer = infer_cast,
                .eval = eval_cast,
                .lower = lower_cast,
                .vjp = vjp_cast,
                .range = ranges::of_operand});

LATHE_OP(bitcast, {.name = "bitcast",
                   .attrs = attrs_index<DTypeAttrs>,
                   .infer = infer_bitcast,
                   .eval = eval_bitcast,
                   .lower = lower_bitcast,
                   .no_gradient = "bits are no numbers"});

}  // namespace lathe
