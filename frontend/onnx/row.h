// What rows share: templates for one-line rows, and small formulas.
#pragma once

#include "frontend/onnx/table.h"

namespace lathe::onnx {

// A row for an op that is one function of the builder.
template <Expr (*f)(const Expr&)>
void unary(OpContext& c) {
  c.ignore({"consumed_inputs"});
  c.out(f(c.expr(0)));
}

// The operands of a binary op. Before version 7 of the arithmetic ops the second one is aligned at
// attribute `axis`; later ones broadcast as NumPy does.
struct Operands {
  Expr a, b;
};
Operands operands(OpContext& c);

template <Expr (*f)(const Expr&, const Expr&)>
void binary(OpContext& c) {
  const auto [a, b] = operands(c);
  c.out(f(a, b));
}

// Of any number of inputs.
template <Expr (*f)(const Expr&, const Expr&)>
void variadic(OpContext& c) {
  c.ignore({"consumed_inputs"});
  Expr out = c.expr(0);
  for (int i = 1; i < c.inputs(); ++i) out = f(out, c.expr(i));
  c.out(out);
}

// One value of an integer type, exactly, as a scalar; and a list of int64.
Expr integer_constant(Graph& g, DType type, int64_t value);
Expr list_constant(Graph& g, const Dims& values);

// [from, from+1, .., to-1].
Dims range(int64_t from, int64_t to);

// x with a list of rank 1 broadcast along `axis` of a tensor of rank `rank`.
Expr along(const Expr& list, int64_t axis, int64_t rank);

// A number of elements that a model gives as a float.
int64_t whole_count(double value, std::string_view what);

// x with its axis `from` at `to`, the others in their order.
Expr with_axis_moved(const Expr& x, int64_t from, int64_t to);

// Negative indices count from the end of an axis of n.
Expr from_start(const Expr& index, int64_t n);
// Where element `index` of an axis lies in row-major data of `dims`, the other axes being those of
// index itself.
Expr flat_positions(const Expr& index, int64_t axis, const Dims& dims);
// data with its index along `axis` replaced; the index is clamped.
Expr take_along(const Expr& data, const Expr& index, int64_t axis);

// f16 and bf16 as f32, for formulas that the standard computes in float; others as they are.
Expr widened(const Expr& x);

}  // namespace lathe::onnx
