// Sorting, and ops whose results' shapes depend on data. Those end in a host step that copies what
// kernels have compared and put in order.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

Value list_of(const Dims& dims, const std::vector<int64_t>& v) {
  return Value::of(HostTensor(Tensor::from<int64_t>(dims, v)));
}

bool is_set(const HostTensor& t, int64_t i) {
  if (t.is_string()) return !(*t.strings)[static_cast<size_t>(i)].empty();
  return t.numbers.int_at(i) != 0;
}

// Elements of t at flat positions, in dims.
HostTensor taken(const HostTensor& t, const std::vector<int64_t>& at, const Dims& dims) {
  if (t.is_string()) {
    std::vector<std::string> out;
    for (const int64_t i : at) out.push_back((*t.strings)[static_cast<size_t>(i)]);
    return {dims, std::move(out)};
  }
  Tensor out = Tensor::empty(t.numbers.dtype(), dims);
  const auto size = static_cast<size_t>(byte_size(out.dtype()));
  auto* to = static_cast<std::byte*>(out.mutable_raw());
  const auto* from = static_cast<const std::byte*>(t.numbers.raw());
  for (size_t i = 0; i < at.size(); ++i)
    std::memcpy(to + i * size, from + static_cast<size_t>(at[i]) * size, size);
  return {t.elem, std::move(out)};
}

// [rank, how many]: the indices of what is not zero, in row-major order.
std::vector<Value> nonzero(HostServices&, const std::vector<Value>& in) {
  const HostTensor& x = in[0].known;
  const Dims strides = row_major_strides(x.dims());
  std::vector<int64_t> found;
  for (int64_t i = 0; i < element_count(x.dims()); ++i)
    if (is_set(x, i)) found.push_back(i);
  std::vector<int64_t> out;
  for (size_t axis = 0; axis < strides.size(); ++axis)
    for (const int64_t i : found) out.push_back(i / strides[axis] % x.dims()[axis]);
  return {list_of({std::ssize(strides), std::ssize(found)}, out)};
}

void nonzero_row(OpContext& c) {
  if (c.input(0).is_string() || !is_float(c.dtype(0))) return c.host(nonzero);
  const Expr x = c.expr(0);
  c.host(nonzero, {Value::of(ne(x, full_like(x, 0)), ElemType::Bool)});
}

// An axis taken apart: how many slices there are before, along and after it.
struct AxisSplit {
  int64_t outer = 1, length = 1, inner = 1;
};

AxisSplit split_at(const Dims& dims, int64_t axis) {
  AxisSplit s;
  // Of nothing there is nothing to go through, however often.
  if (element_count(dims) == 0) return {0, dims[static_cast<size_t>(axis)], 0};
  for (int64_t i = 0; i < std::ssize(dims); ++i) {
    int64_t& part = i < axis ? s.outer : i == axis ? s.length : s.inner;
    part *= dims[static_cast<size_t>(i)];
  }
  return s;
}

// Slices of an axis, in the order of `indices`.
HostTensor take_slices(const HostTensor& x, int64_t axis, const std::vector<int64_t>& indices) {
  const AxisSplit s = split_at(x.dims(), axis);
  std::vector<int64_t> at;
  for (int64_t o = 0; o < s.outer; ++o)
    for (const int64_t k : indices)
      for (int64_t i = 0; i < s.inner; ++i) at.push_back((o * s.length + k) * s.inner + i);
  Dims dims = x.dims();
  dims[static_cast<size_t>(axis)] = std::ssize(indices);
  return taken(x, at, dims);
}

HostTensor flattened(const HostTensor& x) {
  const int64_t n = element_count(x.dims());
  if (x.is_string()) return {{n}, *x.strings};
  return {x.elem, x.numbers.reshaped({n})};
}

void compress(OpContext& c) {
  const bool has_axis = c.has_attribute("axis");
  const int64_t axis = has_axis ? c.axis(c.attr_int("axis"), c.rank(0)) : 0;
  c.host(
      [=](HostServices&, const std::vector<Value>& in) {
        const HostTensor x = has_axis ? in[0].known : flattened(in[0].known);
        const HostTensor& condition = in[1].known;
        const int64_t length =
            std::min(x.dims()[static_cast<size_t>(axis)], condition.numbers.size());
        std::vector<int64_t> indices;
        for (int64_t i = 0; i < length; ++i)
          if (is_set(condition, i)) indices.push_back(i);
        return std::vector<Value>{Value::of(take_slices(x, axis, indices))};
      },
      2);
}

// The values of the first k along an axis, in order, and where they are.
void top_k(OpContext& c) {
  const int64_t axis = c.axis(c.attr_int("axis", -1), c.rank(0));
  const bool largest = c.attr_int("largest", 1) != 0;
  c.ignore({"sorted"});
  const int64_t k = c.version() < 10 ? c.attr_int("k") : c.integer(1);
  const Expr x = c.expr(0);
  const int64_t length = c.dims(0)[static_cast<size_t>(axis)], last = x.rank() - 1;
  if (k < 0 || k > length) fail("{} of {} elements along axis {}", k, length, axis);
  const Expr places =
      with_axis_moved(argsort(with_axis_moved(x, axis, last), k, largest), last, axis);
  c.out(take_along(x, places, axis), c.elem(0));
  c.out(places);
}

// Columns [elements, n], each a slice: their order as that of their elements, the first one
// deciding first. Sorted by the last element first, each time keeping what is equal in order.
Expr order_of(const Expr& columns) {
  Graph& g = *columns.graph;
  const Dim elements = columns.shape()[0], n = columns.shape()[1];
  if (elements == Dim(1)) return argsort(reshape(columns, Shape{n}), n);
  Graph body("sort_by_element");
  const Expr order = input(body, "order", {DType::i64, Shape{n}});
  const Expr row = input(body, "row", {columns.dtype(), Shape{n}});
  body.add_output("order", gather(order, argsort(gather(row, order, 0), n), 0).value);
  return scan(g, std::make_shared<const Graph>(std::move(body)), {iota(g, DType::i64, {n}, 0)},
              {columns}, {}, elements, true)[0];
}

// Whether each of sorted columns is another than the one before. NaN is equal to NaN.
Expr starts_of(const Expr& sorted) {
  Graph& g = *sorted.graph;
  const Dim n = sorted.shape()[1];
  if (n == Dim(0)) return full(g, {DType::boolean, Shape{0}}, 0);
  const Expr a = slice_axis(sorted, 1, 0, n - 1), b = slice_axis(sorted, 1, 1, n - 1);
  const Expr same = bit_or(eq(a, b), bit_and(ne(a, a), ne(b, b)));
  return concat({full(g, {DType::boolean, Shape{1}}, 1), logical_not(reduce_min(same, {0}))}, 0);
}

// How slices of strings are sorted, and which of them differ from the one before.
std::vector<Value> sorted_strings(const HostTensor& x, int64_t axis) {
  const AxisSplit s = split_at(x.dims(), axis);
  const auto compare = [&](int64_t a, int64_t b) {
    for (int64_t o = 0; o < s.outer; ++o)
      for (int64_t i = 0; i < s.inner; ++i) {
        const auto at = [&](int64_t k) {
          return static_cast<size_t>((o * s.length + k) * s.inner + i);
        };
        if (const int way = (*x.strings)[at(a)].compare((*x.strings)[at(b)]); way != 0) return way;
      }
    return 0;
  };
  std::vector<int64_t> order(static_cast<size_t>(s.length));
  std::iota(order.begin(), order.end(), int64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return compare(a, b) < 0; });
  Tensor starts = Tensor::zeros(DType::boolean, {s.length});
  for (size_t i = 0; i < order.size(); ++i)
    if (i == 0 || compare(order[i - 1], order[i]) != 0) starts.set_int(static_cast<int64_t>(i), 1);
  return {list_of({s.length}, order), Value::of(HostTensor(starts))};
}

// The results of Unique for slices in the given order, of which those that start a group of equal
// ones are marked.
std::vector<Value> unique(const HostTensor& x, int64_t axis, const Tensor& order,
                          const Tensor& starts, bool sorted) {
  std::vector<std::vector<int64_t>> groups;  // equal slices, each by rising index
  for (int64_t i = 0; i < order.size(); ++i) {
    if (starts.int_at(i) != 0) groups.emplace_back();
    groups.back().push_back(order.int_at(i));
  }
  if (!sorted)
    std::sort(groups.begin(), groups.end(),
              [](const auto& a, const auto& b) { return a.front() < b.front(); });
  std::vector<int64_t> first, inverse(static_cast<size_t>(order.size())), counts;
  for (const auto& group : groups) {
    for (const int64_t i : group) inverse[static_cast<size_t>(i)] = std::ssize(first);
    first.push_back(group.front());
    counts.push_back(std::ssize(group));
  }
  const int64_t n = std::ssize(first);
  return {Value::of(take_slices(x, axis, first)), list_of({n}, first),
          list_of({std::ssize(inverse)}, inverse), list_of({n}, counts)};
}

void unique_row(OpContext& c) {
  const bool has_axis = c.has_attribute("axis");
  const int64_t axis = has_axis ? c.axis(c.attr_int("axis"), c.rank(0)) : 0;
  const bool sorted = c.attr_int("sorted", 1) != 0;
  if (c.input(0).is_string()) {
    return c.host([=](HostServices&, const std::vector<Value>& in) {
      const HostTensor x = has_axis ? in[0].known : flattened(in[0].known);
      const std::vector<Value> by = sorted_strings(x, axis);
      return unique(x, axis, by[0].known.numbers, by[1].known.numbers, sorted);
    });
  }
  Expr x = c.expr(0);
  if (!has_axis) x = reshape(x, Shape{element_count(c.dims(0))});
  const int64_t n = x.shape()[static_cast<int>(axis)].value();
  Dims slice = x.shape().static_dims();
  slice.erase(slice.begin() + axis);
  const Expr columns =
      reshape(with_axis_moved(x, axis, x.rank() - 1), Shape{element_count(slice), n});
  const Expr order = order_of(columns), starts = starts_of(gather(columns, order, 1));
  c.host(
      [=](HostServices&, const std::vector<Value>& in) {
        return unique(in[0].known, axis, in[1].known.numbers, in[2].known.numbers, sorted);
      },
      {Value::of(x, c.elem(0)), Value::of(order, ElemType::Int64),
       Value::of(starts, ElemType::Bool)});
}

constexpr OpRow kRows[] = {
    {"Compress", 9, compress},
    {"NonZero", 9, nonzero_row},
    {"TopK", 1, top_k},
    {"Unique", 11, unique_row},
};

}  // namespace

std::span<const OpRow> select_rows() { return kRows; }

}  // namespace lathe::onnx
