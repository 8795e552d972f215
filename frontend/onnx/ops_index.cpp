// Elements by index.
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// Negative indices count from the end of an axis of n.
Expr from_start(const Expr& index, int64_t n) {
  const Expr wide = cast(index, DType::i64);
  return select(lt(wide, 0), wide + static_cast<double>(n), wide);
}

void gather_row(OpContext& c) {
  const int64_t axis = c.axis(c.attr_int("axis", 0), c.rank(0));
  const int64_t n = c.dims(0)[static_cast<size_t>(axis)];
  c.out(gather(c.expr(0), from_start(c.expr(1), n), axis), c.elem(0));
}

// data with index i of the axis replaced: as one gather from the flattened data.
void gather_elements(OpContext& c) {
  const Expr data = c.expr(0), index = c.expr(1);
  const int64_t axis = c.axis(c.attr_int("axis", 0), data.rank());
  const Dims dims = c.dims(0), strides = row_major_strides(dims);
  if (index.rank() != data.rank())
    fail("indices {} for data {}", index.type().text(), data.type().text());
  Expr at = from_start(index, dims[static_cast<size_t>(axis)]) *
            static_cast<double>(strides[static_cast<size_t>(axis)]);
  for (int i = 0; i < data.rank(); ++i)
    if (i != axis)
      at = at + iota(c.graph(), DType::i64, index.shape(), i) *
                    static_cast<double>(strides[static_cast<size_t>(i)]);
  c.out(gather(reshape(data, Shape{element_count(dims)}), at, 0), c.elem(0));
}

// The last axis of the indices addresses the axes of data after the batch.
void gather_nd(OpContext& c) {
  const Expr data = c.expr(0), index = c.expr(1);
  const int64_t batch = c.attr_int("batch_dims", 0);
  const Dims dims = c.dims(0), index_dims = c.dims(1);
  if (index_dims.empty() || batch < 0 || batch >= std::ssize(index_dims) ||
      batch + index_dims.back() > std::ssize(dims))
    fail("indices {} for data {}", index.type().text(), data.type().text());
  const int64_t depth = index_dims.back();
  const Dims outer(dims.begin(), dims.begin() + batch + depth);
  const Dims inner(dims.begin() + batch + depth, dims.end());
  const Dims strides = row_major_strides(outer);
  const Shape places(Dims(index_dims.begin(), index_dims.end() - 1));
  Expr at = full(c.graph(), {DType::i64, places}, 0);
  for (int64_t i = 0; i < batch; ++i)
    at = at + iota(c.graph(), DType::i64, places, i) *
                  static_cast<double>(strides[static_cast<size_t>(i)]);
  for (int64_t i = 0; i < depth; ++i) {
    const auto axis = static_cast<size_t>(batch + i);
    const Expr column = reshape(slice_axis(index, index.rank() - 1, i, 1), places);
    at = at + from_start(column, dims[axis]) * static_cast<double>(strides[axis]);
  }
  std::vector<Dim> flat{Dim(element_count(outer))};
  flat.insert(flat.end(), inner.begin(), inner.end());
  c.out(gather(reshape(data, Shape(std::move(flat))), at, 0), c.elem(0));
}

constexpr OpRow kRows[] = {
    {"Gather", 1, gather_row},
    {"GatherElements", 11, gather_elements},
    {"GatherND", 11, gather_nd},
};

}  // namespace

std::span<const OpRow> index_rows() { return kRows; }

}  // namespace lathe::onnx
