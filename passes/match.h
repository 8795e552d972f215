// What the patterns of rewrite rules are written in: questions about a value and how it was made.
#pragma once

#include <cmath>

#include "ir/expr.h"
#include "ir/op.h"

namespace lathe::match {

// References from here are invalid as soon as a node is added to the graph.
inline const Node& node(const Expr& e) { return e.graph->node(e.value); }
inline bool is(const Expr& e, OpId op) { return node(e).op == op; }
inline Expr operand(const Expr& e, size_t i = 0) { return {e.graph, node(e).operands[i]}; }
template <class T>
T attrs(const Expr& e) {
  return std::get<T>(node(e).attrs);
}

// The rank-0 value that `e` repeats, where it is written that way.
inline std::optional<Expr> splat(const Expr& e) {
  if (!is(e, OpId::broadcast) || operand(e).rank() != 0) return std::nullopt;
  return operand(e);
}

// The number that all elements of `e` are, where it is known. Integers beyond 2^53 are rounded.
inline std::optional<double> number(const Expr& e) {
  Expr at = e;
  while (is(at, OpId::broadcast)) at = operand(at);
  if (!is(at, OpId::constant)) return std::nullopt;
  const Tensor& value = std::get<ConstantAttrs>(node(at).attrs).value;
  return is_splat(value) ? std::optional(value.at(0)) : std::nullopt;
}
inline bool is_number(const Expr& e, double v) {
  const std::optional<double> n = number(e);
  return n && *n == v && std::signbit(*n) == std::signbit(v);
}

inline bool is_zero(const std::vector<Dim>& v) {
  for (const Dim& d : v)
    if (!(d == Dim(0))) return false;
  return true;
}
inline bool is_zero(const Dims& v) {
  for (int64_t d : v)
    if (d != 0) return false;
  return true;
}
// 0, 1, 2, ..
inline bool is_iota(const Dims& v) {
  for (size_t i = 0; i < v.size(); ++i)
    if (v[i] != static_cast<int64_t>(i)) return false;
  return true;
}

}  // namespace lathe::match
