// Expr: a value together with the graph it lives in, so that graphs are written as formulas.
//
// Operators and functions below add nodes to the operands' graph. Binary functions broadcast as
// NumPy does (trailing axes aligned, 1 repeated) and accept plain numbers; the IR itself only has
// explicit `broadcast`. All operands of one call must live in one graph and have one dtype.
#pragma once

#include <optional>

#include "ir/graph.h"

namespace lathe {

struct Expr {
  Graph* graph = nullptr;
  Value value;

  bool defined() const { return graph != nullptr; }
  const TensorType& type() const { return graph->type(value); }
  const Shape& shape() const { return type().shape; }
  DType dtype() const { return type().dtype; }
  int rank() const { return type().rank(); }
  // Another result of the same node.
  Expr result(uint32_t r) const { return {graph, {value.node, r}}; }
};

Expr input(Graph& g, std::string name, TensorType type, InputRole role = InputRole::Data);
Expr constant(Graph& g, Tensor value);
// A scalar broadcast to `type`.
Expr full(Graph& g, const TensorType& type, double value);
Expr full_like(const Expr& x, double value);
Expr iota(Graph& g, DType dtype, Shape shape, int64_t axis);

// Elementwise: neg(x), exp(x), .. and add(a, b), lt(a, b), .., one for each row of ops.def.
#define UNARY(id) Expr id(const Expr& x);
#define BINARY(id) Expr id(const Expr& a, const Expr& b);
#include "ir/ops/ops.def"
Expr cast(const Expr& x, DType dtype);
Expr bitcast(const Expr& x, DType dtype);  // the same bits; both types have 4 bytes, or both 8
Expr gt(const Expr& a, const Expr& b);
Expr ge(const Expr& a, const Expr& b);
Expr select(const Expr& condition, const Expr& a, const Expr& b);

// A number as an operand: a full_like of the other one.
Expr add(const Expr& a, double b);
Expr sub(const Expr& a, double b);
Expr sub(double a, const Expr& b);
Expr mul(const Expr& a, double b);
Expr div(const Expr& a, double b);
Expr div(double a, const Expr& b);
Expr max(const Expr& a, double b);
Expr min(const Expr& a, double b);
Expr eq(const Expr& a, double b);
Expr lt(const Expr& a, double b);

inline Expr operator-(const Expr& x) { return neg(x); }
inline Expr operator+(const Expr& a, const Expr& b) { return add(a, b); }
inline Expr operator-(const Expr& a, const Expr& b) { return sub(a, b); }
inline Expr operator*(const Expr& a, const Expr& b) { return mul(a, b); }
inline Expr operator/(const Expr& a, const Expr& b) { return div(a, b); }
inline Expr operator+(const Expr& a, double b) { return add(a, b); }
inline Expr operator-(const Expr& a, double b) { return sub(a, b); }
inline Expr operator-(double a, const Expr& b) { return sub(a, b); }
inline Expr operator*(const Expr& a, double b) { return mul(a, b); }
inline Expr operator*(double a, const Expr& b) { return mul(b, a); }
inline Expr operator/(const Expr& a, double b) { return div(a, b); }
inline Expr operator/(double a, const Expr& b) { return div(a, b); }

// Views.
Expr reshape(const Expr& x, Shape shape);
Expr transpose(const Expr& x, Dims perm);
Expr broadcast(const Expr& x, Shape shape, Dims axes);  // see BroadcastAttrs
Expr broadcast_to(const Expr& x, const Shape& shape);   // NumPy alignment
Expr slice(const Expr& x, std::vector<Dim> start, std::vector<Dim> size, Dims stride = {});
// One axis: elements [start, start+size).
Expr slice_axis(const Expr& x, int64_t axis, Dim start, Dim size);
Expr reverse(const Expr& x, int64_t axis);
Expr pad(const Expr& x, double value, std::vector<Dim> low, std::vector<Dim> high,
         Dims interior = {});
Expr concat(const std::vector<Expr>& parts, int64_t axis);
Expr windows(const Expr& x, WindowAttrs attrs);
Expr fold(const Expr& x, WindowAttrs attrs);
Expr expand_dims(const Expr& x, int64_t axis);
Expr squeeze(const Expr& x, int64_t axis);

// Indexing: result shape is data[:axis] + indices + data[axis+1:]; indices are clamped to the axis.
Expr gather(const Expr& data, const Expr& indices, int64_t axis);
// data with updates added at indices along axis; updates have gather's result shape. Indices are
// clamped; equal indices add in row-major order of `indices`.
Expr scatter_add(const Expr& data, const Expr& indices, const Expr& updates, int64_t axis);
// The same with products and extremes.
Expr scatter_mul(const Expr& data, const Expr& indices, const Expr& updates, int64_t axis);
Expr scatter_max(const Expr& data, const Expr& indices, const Expr& updates, int64_t axis);
Expr scatter_min(const Expr& data, const Expr& indices, const Expr& updates, int64_t axis);

// Reductions remove `axes`; the *_keep forms leave them as 1.
Expr reduce_sum(const Expr& x, Dims axes);
Expr reduce_max(const Expr& x, Dims axes);
Expr reduce_min(const Expr& x, Dims axes);
Expr reduce_prod(const Expr& x, Dims axes);
// Where the number of elements is symbolic it is itself computed, as a sum of ones.
Expr reduce_mean(const Expr& x, Dims axes);
Expr cumsum(const Expr& x, int64_t axis, bool reverse = false, bool exclusive = false);
// Where the first `count` elements of each lane along the last axis are, in order (ir/README.md).
Expr argsort(const Expr& x, Dim count, bool descending = false);
Expr keep_axes(const Expr& reduced, const Dims& axes);  // re-inserts 1 at `axes`

Expr dot_general(const Expr& a, const Expr& b, DotAttrs attrs);
// a [.., M, K] times b [K, N]; leading axes of a stay.
Expr matmul(const Expr& a, const Expr& b);

// Control; operand order as in ScanAttrs and WhileAttrs. All results, in order.
std::vector<Expr> scan(Graph& g, Region body, const std::vector<Expr>& carries,
                       const std::vector<Expr>& scanned, const std::vector<Expr>& constants,
                       Dim length, bool reverse = false);
std::vector<Expr> while_loop(Graph& g, Region condition, Region body,
                             const std::vector<Expr>& carries, const std::vector<Expr>& constants);
std::vector<Expr> if_else(const Expr& condition, Region then_region, Region else_region,
                          const std::vector<Expr>& operands);
std::vector<Expr> composite(Graph& g, std::string name, Region body,
                            const std::vector<Expr>& operands);
// Copies a closed graph's nodes into g, its inputs replaced by `operands`; the outputs' values.
std::vector<Expr> inline_graph(Graph& g, const Graph& body, const std::vector<Expr>& operands);

}  // namespace lathe
