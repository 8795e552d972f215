#include "ir/value_range.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/op.h"

namespace lathe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kExact = 1 << 24;  // integers up to here are what they are in every wide type

// Of functions that grow in each operand, so that the ends of the ranges give those of the result.
MaybeRange by_ends(const MaybeRange& a, const MaybeRange& b, double (*f)(double, double)) {
  if (!a || !b) return std::nullopt;
  const ValueRange r{f(a->low, b->low), f(a->high, b->high)};
  return r.low <= r.high ? MaybeRange(r) : std::nullopt;  // not inf - inf
}

MaybeRange negated(const MaybeRange& a) {
  return a ? MaybeRange(ValueRange{-a->high, -a->low}) : std::nullopt;
}

// What is not known is taken for finite.
bool bounded(const MaybeRange& r) { return !r || (!std::isinf(r->low) && !std::isinf(r->high)); }

MaybeRange sum(const MaybeRange& a, const MaybeRange& b) {
  for (const double v : {-kInfinity, kInfinity})
    if (is(a, v) || is(b, v)) return is(a, -v) || is(b, -v) ? std::nullopt : exactly(v);
  return by_ends(a, b, [](double x, double y) { return x + y; });
}

MaybeRange least(const MaybeRange& a, const MaybeRange& b) {
  return by_ends(a, b, [](double x, double y) { return std::min(x, y); });
}

MaybeRange greatest(const MaybeRange& a, const MaybeRange& b) {
  return by_ends(a, b, [](double x, double y) { return std::max(x, y); });
}

// `x` times a number, or what is infinite by one: neither negative nor zero.
MaybeRange scaled(const MaybeRange& number, const MaybeRange& x) {
  if (!number || !x || !number->single() || number->low <= 0 || std::isinf(number->low))
    return std::nullopt;
  return by_ends(x, number, [](double y, double f) { return y * f; });
}

template <class Compare>
MaybeRange compared(std::span<const MaybeRange> x, Compare compare) {
  const auto &a = x[0], &b = x[1];
  if (!a || !b) return std::nullopt;
  return ValueRange{compare(a->high, b->low) ? 1.0 : 0.0, compare(a->low, b->high) ? 1.0 : 0.0};
}

}  // namespace

MaybeRange in_type(const MaybeRange& r, DType t) {
  if (!r || t == DType::boolean || (is_float(t) && r->single() && std::isinf(r->low))) return r;
  const bool exact = byte_size(t) >= 4 && std::max(-r->low, r->high) <= kExact &&
                     (is_float(t) || is_signed(t) || r->low >= 0);
  return exact || (is_float(t) && r->is(0)) ? r : std::nullopt;
}

MaybeRange range_of(const Node& n, std::span<const MaybeRange> operands) {
  const OpDef& def = op_def(n.op);
  if (!def.range.given) return std::nullopt;
  const MaybeRange r = def.range.call(n, operands);
  return def.cls == OpClass::Elementwise ? in_type(r, n.types[0].dtype) : r;
}

namespace ranges {

MaybeRange of_operand(const Node&, std::span<const MaybeRange> x) { return x[0]; }
MaybeRange of_neg(const Node&, std::span<const MaybeRange> x) { return negated(x[0]); }
MaybeRange of_exp(const Node&, std::span<const MaybeRange> x) {
  return is(x[0], -kInfinity) ? exactly(0) : std::nullopt;
}
MaybeRange of_not(const Node&, std::span<const MaybeRange> x) {
  return x[0] ? MaybeRange(ValueRange{1 - x[0]->high, 1 - x[0]->low}) : std::nullopt;
}
MaybeRange of_add(const Node&, std::span<const MaybeRange> x) { return sum(x[0], x[1]); }
MaybeRange of_sub(const Node&, std::span<const MaybeRange> x) { return sum(x[0], negated(x[1])); }
MaybeRange of_mul(const Node&, std::span<const MaybeRange> x) {
  if (is(x[0], 0) || is(x[1], 0)) return bounded(x[0]) && bounded(x[1]) ? exactly(0) : std::nullopt;
  const MaybeRange out = scaled(x[0], x[1]);
  return out ? out : scaled(x[1], x[0]);
}
MaybeRange of_div(const Node& n, std::span<const MaybeRange> x) {
  if (!is_float(n.types[0].dtype)) return std::nullopt;
  if (is(x[0], 0)) return x[1] && x[1]->contains(0) ? std::nullopt : exactly(0);
  return is(x[0], -kInfinity) ? scaled(x[1], x[0]) : std::nullopt;
}
MaybeRange of_min(const Node&, std::span<const MaybeRange> x) { return least(x[0], x[1]); }
MaybeRange of_max(const Node&, std::span<const MaybeRange> x) { return greatest(x[0], x[1]); }
MaybeRange of_and(const Node& n, std::span<const MaybeRange> x) {
  return n.types[0].dtype == DType::boolean ? least(x[0], x[1]) : std::nullopt;
}
MaybeRange of_or(const Node& n, std::span<const MaybeRange> x) {
  return n.types[0].dtype == DType::boolean ? greatest(x[0], x[1]) : std::nullopt;
}
MaybeRange of_lt(const Node&, std::span<const MaybeRange> x) {
  return compared(x, [](double a, double b) { return a < b; });
}
MaybeRange of_le(const Node&, std::span<const MaybeRange> x) {
  return compared(x, [](double a, double b) { return a <= b; });
}
MaybeRange of_select(const Node&, std::span<const MaybeRange> x) {
  const MaybeRange &condition = x[0], &a = x[1], &b = x[2];
  if (condition && condition->single()) return condition->is(0) ? b : a;
  if (!a || !b) return std::nullopt;
  return ValueRange{std::min(a->low, b->low), std::max(a->high, b->high)};
}

}  // namespace ranges
}  // namespace lathe
