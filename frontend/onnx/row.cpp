#include "frontend/onnx/row.h"

#include <numeric>

namespace lathe::onnx {

Operands operands(OpContext& c) {
  const Expr a = c.expr(0), b = c.expr(1);
  c.ignore({"consumed_inputs"});
  if (c.version() >= 7 || c.attr_int("broadcast", 0) == 0) {
    c.ignore({"axis"});
    return {a, b};
  }
  if (b.rank() > a.rank()) fail("{} is broadcast to {}", b.type().text(), a.type().text());
  const int64_t at = c.attr_int("axis", a.rank() - b.rank());
  const int64_t first = at < 0 ? at + a.rank() : at;
  std::vector<Dim> dims = b.shape().dims();
  if (first < 0 || first + b.rank() > a.rank())
    fail("{} does not fit {} at axis {}", b.type().text(), a.type().text(), at);
  for (int64_t i = first + b.rank(); i < a.rank(); ++i) dims.emplace_back(1);
  return {a, reshape(b, Shape(std::move(dims)))};
}

Expr integer_constant(Graph& g, DType type, int64_t value) {
  Tensor t = Tensor::empty(type, {});
  t.set_int(0, value);
  return constant(g, t);
}

Expr list_constant(Graph& g, const Dims& values) {
  return constant(g, Tensor::from<int64_t>({std::ssize(values)}, values));
}

Dims range(int64_t from, int64_t to) {
  Dims out(static_cast<size_t>(std::max<int64_t>(to - from, 0)));
  std::iota(out.begin(), out.end(), from);
  return out;
}

Expr along(const Expr& list, int64_t axis, int64_t rank) {
  if (axis >= rank) fail("{} for axis {} of {} axes", list.type().text(), axis, rank);
  std::vector<Dim> dims(static_cast<size_t>(rank), Dim(1));
  dims[static_cast<size_t>(axis)] = Dim(list.shape().element_count());
  return reshape(list, Shape(std::move(dims)));
}

int64_t whole_count(double value, std::string_view what) {
  if (!(value >= 0 && value < 0x1p46)) fail("a {} of {}", what, value);
  return static_cast<int64_t>(value);
}

Expr with_axis_moved(const Expr& x, int64_t from, int64_t to) {
  Dims perm = range(0, x.rank());
  perm.erase(perm.begin() + from);
  perm.insert(perm.begin() + to, from);
  return transpose(x, perm);
}

Expr from_start(const Expr& index, int64_t n) {
  const Expr wide = cast(index, DType::i64);
  return select(lt(wide, 0), wide + static_cast<double>(n), wide);
}

Expr flat_positions(const Expr& index, int64_t axis, const Dims& dims) {
  const Dims strides = row_major_strides(dims);
  Expr at = index * static_cast<double>(strides[static_cast<size_t>(axis)]);
  for (int i = 0; i < index.rank(); ++i)
    if (i != axis)
      at = at + iota(*index.graph, DType::i64, index.shape(), i) *
                    static_cast<double>(strides[static_cast<size_t>(i)]);
  return at;
}

Expr take_along(const Expr& data, const Expr& index, int64_t axis) {
  const Dims dims = data.shape().static_dims();
  return gather(reshape(data, Shape{element_count(dims)}), flat_positions(index, axis, dims), 0);
}

Expr widened(const Expr& x) {
  return x.dtype() == DType::f16 || x.dtype() == DType::bf16 ? cast(x, DType::f32) : x;
}

}  // namespace lathe::onnx
