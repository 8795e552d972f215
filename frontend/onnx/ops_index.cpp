// Elements by index.
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

void gather_row(OpContext& c) {
  const int64_t axis = c.axis(c.attr_int("axis", 0), c.rank(0));
  const int64_t n = c.dims(0)[static_cast<size_t>(axis)];
  c.out(gather(c.expr(0), from_start(c.expr(1), n), axis), c.elem(0));
}

void gather_elements(OpContext& c) {
  const Expr data = c.expr(0), index = c.expr(1);
  const int64_t axis = c.axis(c.attr_int("axis", 0), data.rank());
  if (index.rank() != data.rank())
    fail("indices {} for data {}", index.type().text(), data.type().text());
  c.out(take_along(data, from_start(index, c.dims(0)[static_cast<size_t>(axis)]), axis), c.elem(0));
}

// The first sequence_lens[b] elements along the time axis backwards, the others as they are.
void reverse_sequence(OpContext& c) {
  const Expr x = c.expr(0);
  const int64_t time = c.axis(c.attr_int("time_axis", 0), x.rank());
  const int64_t batch = c.axis(c.attr_int("batch_axis", 1), x.rank());
  const Dims dims = c.dims(0);
  if (time == batch || c.dims(1) != Dims{dims[static_cast<size_t>(batch)]})
    fail("lengths {} for axis {} of {}", c.input(1).signature(), batch, c.input(0).signature());
  const Expr at = iota(c.graph(), DType::i64, x.shape(), time);
  const Expr lengths = broadcast_to(along(cast(c.expr(1), DType::i64), batch, x.rank()), x.shape());
  c.out(take_along(x, select(lt(at, lengths), lengths - 1.0 - at, at), time), c.elem(0));
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
    {"ReverseSequence", 10, reverse_sequence},
};

}  // namespace

std::span<const OpRow> index_rows() { return kRows; }

}  // namespace lathe::onnx
