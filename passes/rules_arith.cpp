// Rules on elementwise ops and reductions.
#include <algorithm>

#include "passes/match.h"
#include "passes/rules.h"

namespace lathe {
namespace {

using namespace match;  // NOLINT: the rules below are written in its terms
using Rewrite = std::optional<Expr>;

bool float_result(const Site& s) { return is_float(s.type.dtype); }
bool same(const Expr& a, const Expr& b) { return a.value == b.value; }

// op(op(x)) = x
template <OpId op>
Rewrite twice(const Site& s) {
  if (s.op != op || !is(s.in[0], op)) return std::nullopt;
  return operand(s.in[0]);
}

// op(x, v) = x, and op(v, x) = x where op is commutative.
template <OpId op>
Rewrite drop_operand(const Site& s, double v) {
  if (s.op != op) return std::nullopt;
  if (is_number(s.in[1], v)) return s.in[0];
  if (op_def(op).commutative && is_number(s.in[0], v)) return s.in[1];
  return std::nullopt;
}

// op(x, x) = x
template <OpId op>
Rewrite idempotent(const Site& s) {
  if (s.op != op || !same(s.in[0], s.in[1])) return std::nullopt;
  return s.in[0];
}

// What is not differentiated from here on.
Rewrite stop_gradient_done(const Site& s) {
  if (s.op != OpId::stop_gradient) return std::nullopt;
  return s.in[0];
}

Rewrite abs_neg(const Site& s) {
  if (s.op != OpId::abs || !is(s.in[0], OpId::neg)) return std::nullopt;
  return abs(operand(s.in[0]));
}

// -0 + x = x for every x, +0 + x is +0 for x = -0.
Rewrite add_zero(const Site& s) { return drop_operand<OpId::add>(s, float_result(s) ? -0.0 : 0.0); }

Rewrite mul_zero(const Site& s) {
  if (s.op != OpId::mul || float_result(s)) return std::nullopt;
  for (const Expr& e : s.in)
    if (is_number(e, 0)) return e;
  return std::nullopt;
}

Rewrite select_same(const Site& s) {
  if (s.op != OpId::select || !same(s.in[1], s.in[2])) return std::nullopt;
  return s.in[1];
}

Rewrite select_constant(const Site& s) {
  if (s.op != OpId::select) return std::nullopt;
  const std::optional<double> c = number(s.in[0]);
  if (!c) return std::nullopt;
  return s.in[*c != 0 ? 1 : 2];
}

Rewrite cast_identity(const Site& s) {
  if (s.op != OpId::cast || s.in[0].dtype() != s.type.dtype) return std::nullopt;
  return s.in[0];
}

// Every value of `from` is one of `to`, of the same kind: a later cast sees the same number.
bool widens(DType from, DType to) {
  if (from == DType::boolean) return true;
  if (is_float(from) != is_float(to) || to == DType::boolean) return false;
  if (is_float(from)) {
    const bool half = from == DType::f16 || from == DType::bf16;
    return half ? to == DType::f32 || to == DType::f64 : from == DType::f32 && to == DType::f64;
  }
  return byte_size(to) > byte_size(from) && (is_signed(to) || !is_signed(from));
}

Rewrite cast_cast(const Site& s) {
  if (s.op != OpId::cast || !is(s.in[0], OpId::cast)) return std::nullopt;
  const Expr x = operand(s.in[0]);
  if (!widens(x.dtype(), s.in[0].dtype())) return std::nullopt;
  return cast(x, s.type.dtype);
}

Rewrite dot_of_widened(const Site& s) {
  if (s.op != OpId::dot_general || compute_type(s.type.dtype) != DType::f32) return std::nullopt;
  for (const Expr& e : s.in)
    if (!is(e, OpId::cast) || e.dtype() != DType::f32 || operand(e).dtype() != DType::bf16)
      return std::nullopt;
  return dot_general(operand(s.in[0]), operand(s.in[1]), s.get<DotAttrs>());
}

Rewrite bitcast_bitcast(const Site& s) {
  if (s.op != OpId::bitcast || !is(s.in[0], OpId::bitcast)) return std::nullopt;
  return bitcast(operand(s.in[0]), s.type.dtype);
}

// op(splat a, splat b) = splat op(a, b): once, not for every element.
Rewrite elementwise_of_splats(const Site& s) {
  if (op_def(s.op).cls != OpClass::Elementwise || s.type.rank() == 0) return std::nullopt;
  std::vector<Value> scalars;
  for (const Expr& e : s.in) {
    const std::optional<Expr> scalar = splat(e);
    if (!scalar) return std::nullopt;
    scalars.push_back(scalar->value);
  }
  const Expr once{&s.graph, s.graph.add(s.op, std::move(scalars), s.attrs)};
  return broadcast(once, s.type.shape, {});
}

bool is_any(OpId op, std::initializer_list<OpId> of) { return std::ranges::count(of, op) > 0; }

// A sum starts from +0, which turns -0 into +0; the other folds keep every float.
Rewrite reduce_nothing(const Site& s) {
  const bool keeps = is_any(s.op, {OpId::reduce_max, OpId::reduce_min, OpId::reduce_prod}) ||
                     (s.op == OpId::reduce_sum && !float_result(s));
  if (!keeps || !s.get<AxesAttrs>().axes.empty()) return std::nullopt;
  return s.in[0];
}

// Integers only: which of +0 and -0 a float maximum is depends on the order, as sums do.
Rewrite reduce_reduce(const Site& s) {
  if (!is_any(s.op, {OpId::reduce_max, OpId::reduce_min, OpId::reduce_sum, OpId::reduce_prod}) ||
      float_result(s) || !is(s.in[0], s.op))
    return std::nullopt;
  const Expr x = operand(s.in[0]);
  Dims axes = attrs<AxesAttrs>(s.in[0]).axes, kept;
  for (int64_t a = 0; a < x.rank(); ++a)
    if (std::ranges::count(axes, a) == 0) kept.push_back(a);
  for (int64_t a : s.get<AxesAttrs>().axes) axes.push_back(kept[static_cast<size_t>(a)]);
  std::ranges::sort(axes);
  return Expr{&s.graph, s.graph.add(s.op, {x.value}, AxesAttrs{std::move(axes)})};
}

// Real arithmetic: wrong for infinities and NaN.
Rewrite mul_zero_float(const Site& s) {
  if (s.op != OpId::mul || !float_result(s)) return std::nullopt;
  for (const Expr& e : s.in)
    if (number(e) == 0.0) return e;
  return std::nullopt;
}

constexpr Rule kRules[] = {
    {"neg-neg", "-(-x) = x", twice<OpId::neg>},
    {"stop-gradient", "stop_gradient(x) = x, gradients having been taken", stop_gradient_done},
    {"abs-neg", "|-x| = |x|", abs_neg},
    {"not-not", "!(!x) = x", twice<OpId::logical_not>},
    {"add-zero", "x + -0.0 = x; integers: x + 0 = x", add_zero},
    {"sub-zero", "x - 0 = x", [](const Site& s) { return drop_operand<OpId::sub>(s, 0); }},
    {"mul-one", "x * 1 = x", [](const Site& s) { return drop_operand<OpId::mul>(s, 1); }},
    {"mul-zero", "integers: x * 0 = 0", mul_zero},
    {"div-one", "x / 1 = x", [](const Site& s) { return drop_operand<OpId::div>(s, 1); }},
    {"pow-one", "x ^ 1 = x", [](const Site& s) { return drop_operand<OpId::pow>(s, 1); }},
    {"max-same", "max(x, x) = x", idempotent<OpId::max>},
    {"min-same", "min(x, x) = x", idempotent<OpId::min>},
    {"and-same", "x & x = x", idempotent<OpId::bit_and>},
    {"or-same", "x | x = x", idempotent<OpId::bit_or>},
    {"select-same", "select(c, x, x) = x", select_same},
    {"select-constant", "select(true, x, y) = x; select(false, x, y) = y", select_constant},
    {"cast-identity", "cast(x: t, t) = x", cast_identity},
    {"bitcast-bitcast", "bitcast(bitcast(x, t), u) = bitcast(x, u)", bitcast_bitcast},
    {"cast-cast", "cast(cast(x, wider), t) = cast(x, t)", cast_cast},
    {"dot-of-widened", "dot(cast(x: bf16, f32), cast(y: bf16, f32)) = dot(x, y)", dot_of_widened},
    {"elementwise-of-splats", "op(splat a, splat b) = splat op(a, b)", elementwise_of_splats},
    {"reduce-nothing", "reduce(x, []) = x; not of float sums", reduce_nothing},
    {"reduce-reduce", "integers: reduce(reduce(x, a), b) = reduce(x, a and b)", reduce_reduce},
    {"mul-zero-float", "floats: x * 0 = 0", mul_zero_float, Exactness::Approximate},
};

}  // namespace

std::span<const Rule> arithmetic_rules() { return kRules; }

}  // namespace lathe
