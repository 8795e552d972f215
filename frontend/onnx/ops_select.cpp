// Ops whose results' shapes depend on data: host steps.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

Value list_of(const Dims& dims, const std::vector<int64_t>& v) {
  return Value::of(HostTensor(Tensor::from<int64_t>(dims, v)));
}

bool is_set(const HostTensor& t, int64_t i) {
  if (t.is_string()) return !(*t.strings)[static_cast<size_t>(i)].empty();
  return is_float(t.numbers.dtype()) ? t.numbers.at(i) != 0 : t.numbers.int_at(i) != 0;
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

void nonzero_row(OpContext& c) { c.host(nonzero); }

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
  c.host([=](HostServices&, const std::vector<Value>& in) {
    const HostTensor x = has_axis ? in[0].known : flattened(in[0].known);
    const HostTensor& condition = in[1].known;
    const int64_t length = std::min(x.dims()[static_cast<size_t>(axis)], condition.numbers.size());
    std::vector<int64_t> indices;
    for (int64_t i = 0; i < length; ++i)
      if (is_set(condition, i)) indices.push_back(i);
    return std::vector<Value>{Value::of(take_slices(x, axis, indices))};
  });
}

// a before b. NaN is after everything.
bool less_at(const HostTensor& t, int64_t a, int64_t b) {
  if (t.is_string())
    return (*t.strings)[static_cast<size_t>(a)] < (*t.strings)[static_cast<size_t>(b)];
  if (!is_float(t.numbers.dtype())) {
    const int64_t x = t.numbers.int_at(a), y = t.numbers.int_at(b);
    return t.numbers.dtype() == DType::u64 ? static_cast<uint64_t>(x) < static_cast<uint64_t>(y)
                                           : x < y;
  }
  const double x = t.numbers.at(a), y = t.numbers.at(b);
  return std::isnan(y) ? !std::isnan(x) : x < y;
}

// The first k of each lane along an axis, in order; equal ones by index.
std::vector<Value> top_k(const HostTensor& x, int64_t k, int64_t axis, bool largest) {
  const AxisSplit s = split_at(x.dims(), axis);
  if (k < 0 || k > s.length) fail("{} of {} elements along axis {}", k, s.length, axis);
  Dims dims = x.dims();
  dims[static_cast<size_t>(axis)] = k;
  std::vector<int64_t> at(static_cast<size_t>(s.outer * k * s.inner)), index(at.size());
  std::vector<int64_t> lane(static_cast<size_t>(s.length));
  for (int64_t o = 0; o < s.outer; ++o)
    for (int64_t i = 0; i < s.inner; ++i) {
      std::iota(lane.begin(), lane.end(), int64_t{0});
      const auto flat = [&](int64_t e) { return (o * s.length + e) * s.inner + i; };
      const auto before = [&](int64_t a, int64_t b) {
        if (less_at(x, flat(a), flat(b))) return !largest;
        if (less_at(x, flat(b), flat(a))) return largest;
        return a < b;
      };
      std::partial_sort(lane.begin(), lane.begin() + k, lane.end(), before);
      for (int64_t e = 0; e < k; ++e) {
        const auto to = static_cast<size_t>((o * k + e) * s.inner + i);
        at[to] = flat(lane[static_cast<size_t>(e)]);
        index[to] = lane[static_cast<size_t>(e)];
      }
    }
  return {Value::of(taken(x, at, dims)), list_of(dims, index)};
}

void top_k_row(OpContext& c) {
  const int64_t axis = c.axis(c.attr_int("axis", -1), c.rank(0));
  const bool largest = c.attr_int("largest", 1) != 0;
  c.ignore({"sorted"});
  const int64_t k = c.version() < 10 ? c.attr_int("k") : 0;
  const bool as_input = c.version() >= 10;
  if (as_input && (c.input(1).is_string() || element_count(c.dims(1)) != 1))
    fail("its input 1 is {}, one number was expected", c.input(1).signature());
  c.host([=](HostServices&, const std::vector<Value>& in) {
    return top_k(in[0].known, as_input ? in[1].known.numbers.int_at(0) : k, axis, largest);
  });
}

// Slices of an axis compared lexicographically.
struct SliceOrder {
  const HostTensor& x;
  AxisSplit s;
  int compare(int64_t a, int64_t b) const {
    for (int64_t o = 0; o < s.outer; ++o)
      for (int64_t i = 0; i < s.inner; ++i) {
        const int64_t p = (o * s.length + a) * s.inner + i, q = (o * s.length + b) * s.inner + i;
        if (less_at(x, p, q)) return -1;
        if (less_at(x, q, p)) return 1;
      }
    return 0;
  }
};

std::vector<Value> unique(const HostTensor& x, int64_t axis, bool sorted) {
  const SliceOrder order{x, split_at(x.dims(), axis)};
  std::vector<int64_t> by_value(static_cast<size_t>(order.s.length));
  std::iota(by_value.begin(), by_value.end(), int64_t{0});
  std::stable_sort(by_value.begin(), by_value.end(),
                   [&](int64_t a, int64_t b) { return order.compare(a, b) < 0; });
  std::vector<std::vector<int64_t>> groups;  // equal slices, each by rising index
  for (const int64_t i : by_value) {
    if (groups.empty() || order.compare(groups.back().front(), i) != 0) groups.emplace_back();
    groups.back().push_back(i);
  }
  if (!sorted)
    std::sort(groups.begin(), groups.end(),
              [](const auto& a, const auto& b) { return a.front() < b.front(); });
  std::vector<int64_t> first, inverse(by_value.size()), counts;
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
  c.host([=](HostServices&, const std::vector<Value>& in) {
    return unique(has_axis ? in[0].known : flattened(in[0].known), axis, sorted);
  });
}

struct Box {
  double y1, x1, y2, x2;
  double area() const { return (y2 - y1) * (x2 - x1); }
};

Box box_at(const Tensor& boxes, int64_t i, bool center) {
  const auto v = [&](int64_t k) { return boxes.at(4 * i + k); };
  if (center) return {v(1) - v(3) / 2, v(0) - v(2) / 2, v(1) + v(3) / 2, v(0) + v(2) / 2};
  return {std::min(v(0), v(2)), std::min(v(1), v(3)), std::max(v(0), v(2)), std::max(v(1), v(3))};
}

double overlap(const Box& a, const Box& b) {
  const double height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const double width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (height <= 0 || width <= 0) return 0;
  const double both = height * width, any = a.area() + b.area() - both;
  return any <= 0 ? 0 : both / any;
}

void non_max_suppression(OpContext& c) {
  const bool center = c.attr_int("center_point_box", 0) != 0;
  c.host([=](HostServices&, const std::vector<Value>& in) {
    const Tensor &boxes = in[0].known.numbers, &scores = in[1].known.numbers;
    const auto number = [&](size_t i, double missing) {
      return i < in.size() && in[i].kind == Value::Kind::Known && in[i].known.numbers.size() > 0
                 ? in[i].known.numbers.at(0)
                 : missing;
    };
    const double most = number(2, 0), threshold = number(3, 0);
    const double least = number(4, -std::numeric_limits<double>::infinity());
    if (boxes.rank() != 3 || scores.rank() != 3 || boxes.dims()[2] != 4 ||
        boxes.dims()[0] != scores.dims()[0] || boxes.dims()[1] != scores.dims()[2])
      fail("boxes {} and scores {}", boxes.type_text(), scores.type_text());
    const int64_t classes = scores.dims()[1], count = boxes.dims()[1];
    const int64_t lanes = count == 0 ? 0 : scores.dims()[0] * classes;
    std::vector<int64_t> out;
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const int64_t batch = lane / classes;
      const auto score = [&](int64_t i) { return scores.at(lane * count + i); };
      std::vector<int64_t> order;
      for (int64_t i = 0; i < count; ++i)
        if (score(i) > least) order.push_back(i);
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t a, int64_t b) { return score(a) > score(b); });
      std::vector<Box> kept;
      for (const int64_t i : order) {
        if (static_cast<double>(kept.size()) >= most) break;
        const Box box = box_at(boxes, batch * count + i, center);
        if (std::any_of(kept.begin(), kept.end(),
                        [&](const Box& k) { return overlap(k, box) > threshold; }))
          continue;
        kept.push_back(box);
        out.insert(out.end(), {batch, lane % classes, i});
      }
    }
    return std::vector<Value>{list_of({std::ssize(out) / 3, 3}, out)};
  });
}

constexpr OpRow kRows[] = {
    {"Compress", 9, compress},   {"NonMaxSuppression", 10, non_max_suppression},
    {"NonZero", 9, nonzero_row}, {"TopK", 1, top_k_row},
    {"Unique", 11, unique_row},
};

}  // namespace

std::span<const OpRow> select_rows() { return kRows; }

}  // namespace lathe::onnx
