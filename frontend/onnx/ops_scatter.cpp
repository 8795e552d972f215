// Elements set or added by index, and one-hot encodings.
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// Slices of data's first axis at `at` added to or replaced by the updates. Where they are replaced
// and an index occurs twice, the standard leaves the result open.
Expr scattered(OpContext& c, const Expr& data, const Expr& at, const Expr& updates) {
  const std::string how = c.version() < 16 ? "none" : c.attr_text("reduction", "none");
  if (how == "add") return scatter_add(data, at, updates, 0);
  if (how == "mul") return scatter_mul(data, at, updates, 0);
  if (how == "max") return scatter_max(data, at, updates, 0);
  if (how == "min") return scatter_min(data, at, updates, 0);
  if (how != "none") fail("reduction is '{}'; none, add, mul, max or min was expected", how);
  const Expr one = full(c.graph(), {DType::i32, updates.shape()}, 1);
  const Expr hits = scatter_add(full(c.graph(), {DType::i32, data.shape()}, 0), at, one, 0);
  const bool flag = data.dtype() == DType::boolean;
  const Expr wide = flag ? cast(updates, DType::i32) : updates;
  const Expr zero = full(c.graph(), {wide.dtype(), data.shape()}, 0);
  const Expr set = scatter_add(zero, at, wide, 0);
  return select(gt(hits, full_like(hits, 0)), flag ? cast(set, DType::boolean) : set, data);
}

// Index i of the axis of data is index[i]; the other axes stay. On the flattened data.
void scatter_elements(OpContext& c) {
  const Expr data = c.expr(0), index = c.expr(1), updates = c.expr(2);
  const int64_t axis = c.axis(c.attr_int("axis", 0), data.rank());
  const Dims dims = c.dims(0);
  if (index.rank() != data.rank() || !(index.shape() == updates.shape()))
    fail("indices {} and updates {} for data {}", index.type().text(), updates.type().text(),
         data.type().text());
  const Expr at = flat_positions(from_start(index, dims[static_cast<size_t>(axis)]), axis, dims);
  const Expr flat = scattered(c, reshape(data, Shape{element_count(dims)}), at, updates);
  c.out(reshape(flat, data.shape()), c.elem(0));
}

// The last axis of the indices addresses the first axes of data.
void scatter_nd(OpContext& c) {
  const Expr data = c.expr(0), index = c.expr(1);
  const Dims dims = c.dims(0), index_dims = c.dims(1);
  if (index_dims.empty() || index_dims.back() > std::ssize(dims))
    fail("indices {} for data {}", index.type().text(), data.type().text());
  const int64_t depth = index_dims.back();
  const Dims outer(dims.begin(), dims.begin() + depth), strides = row_major_strides(outer);
  const Shape places(Dims(index_dims.begin(), index_dims.end() - 1));
  Expr at = full(c.graph(), {DType::i64, places}, 0);
  for (int64_t i = 0; i < depth; ++i) {
    const auto axis = static_cast<size_t>(i);
    const Expr column = reshape(slice_axis(index, index.rank() - 1, i, 1), places);
    at = at + from_start(column, dims[axis]) * static_cast<double>(strides[axis]);
  }
  std::vector<Dim> flat{Dim(element_count(outer))};
  flat.insert(flat.end(), dims.begin() + depth, dims.end());
  const Expr out = scattered(c, reshape(data, Shape(std::move(flat))), at, c.expr(2));
  c.out(reshape(out, data.shape()), c.elem(0));
}

// A cache with new entries along an axis from each batch's own place on; circular ones go on at the
// start. An entry takes what falls on it from the update.
void tensor_scatter(OpContext& c) {
  const Expr cache = c.expr(0), update = c.expr(1);
  const Dims dims = c.dims(0), given = c.dims(1);
  const std::string mode = c.attr_text("mode", "linear");
  if (mode != "linear" && mode != "circular")
    fail("mode is '{}'; linear or circular was expected", mode);
  const int64_t axis = c.axis(c.attr_int("axis", -2), cache.rank());
  const auto at = static_cast<size_t>(axis);
  Dims expected = dims;
  if (given.size() == dims.size()) expected[at] = given[at];
  if (axis == 0 || given != expected || given[at] > dims[at])
    fail("update {} for axis {} of {}", c.input(1).signature(), axis, c.input(0).signature());
  if (given[at] == 0) return c.out(c.input(0));
  Expr from = iota(c.graph(), DType::i64, cache.shape(), axis);
  const auto size = static_cast<double>(dims[at]), count = static_cast<double>(given[at]);
  if (c.has(2)) {
    from = from - broadcast_to(along(cast(c.expr(2), DType::i64), 0, cache.rank()), cache.shape());
    const auto in_circle = [&](const Expr& i) { return rem(i, full_like(i, size)); };
    if (mode == "circular") from = in_circle(in_circle(from) + size);
  }
  const Expr fresh = bit_and(ge(from, full_like(from, 0)), lt(from, count));
  const Expr inside = min(max(from, 0), count - 1);
  c.out(select(fresh, take_along(update, inside, axis), cache), c.elem(0));
}

void one_hot(OpContext& c) {
  const int64_t depth = whole_count(c.number(1), "depth");
  const int64_t axis = c.axis(c.attr_int("axis", -1), c.rank(0) + 1);
  const Expr index = expand_dims(from_start(c.expr(0), depth), axis);
  Dims dims = c.dims(0);
  dims.insert(dims.begin() + axis, depth);
  const Expr hit = eq(index, iota(c.graph(), DType::i64, Shape(dims), axis));
  const Expr values = c.expr(2);
  const auto value = [&](int64_t i) { return reshape(slice_axis(values, 0, i, 1), Shape{}); };
  c.out(select(hit, value(1), value(0)), c.elem(2));
}

constexpr OpRow kRows[] = {
    {"OneHot", 9, one_hot},
    {"Scatter", 9, scatter_elements},
    {"ScatterElements", 11, scatter_elements},
    {"ScatterND", 11, scatter_nd},
    {"TensorScatter", 24, tensor_scatter},
};

}  // namespace

std::span<const OpRow> scatter_rows() { return kRows; }

}  // namespace lathe::onnx
