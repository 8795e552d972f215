// Shapes, views and sources of constants.
#include <algorithm>
#include <cmath>

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

void identity(OpContext& c) { c.out(c.input(0)); }

// A value with the element type of input 0: data that moves keeps what it stands for.
void out_moved(OpContext& c, const Expr& e) { c.out(e, c.elem(0)); }

void shape(OpContext& c) {
  const Dims dims = c.dims(0);
  const auto rank = std::ssize(dims);
  const auto bound = [&](std::string_view name, int64_t missing) {
    const int64_t v = c.attr_int(name, missing);
    return std::clamp<int64_t>(v < 0 ? v + rank : v, 0, rank);
  };
  const int64_t start = bound("start", 0), end = std::max(bound("end", rank), start);
  const Dims part(dims.begin() + start, dims.begin() + end);
  c.out(HostTensor(Tensor::from<int64_t>({std::ssize(part)}, part)));
}

void size(OpContext& c) { c.out(HostTensor(Tensor::scalar<int64_t>(element_count(c.dims(0))))); }

// Contents that move as they are: strings too. `view` makes the result's expression.
void out_reshaped(OpContext& c, Dims dims) {
  if (element_count(dims) != element_count(c.dims(0)))
    fail("{} cannot be reshaped to [{}]", c.input(0).signature(), Shape(dims).text());
  if (!c.input(0).is_string()) return out_moved(c, reshape(c.expr(0), Shape(dims)));
  c.host(
      [dims](HostServices&, const std::vector<Value>& in) {
        return std::vector<Value>{Value::of(HostTensor(dims, *in[0].known.strings))};
      },
      {c.input(0)});
}

void reshape_row(OpContext& c) {
  c.ignore({"consumed_inputs"});
  Dims dims = c.version() < 5 ? c.attr_ints("shape") : c.ints(1);
  const bool allow_zero = c.attr_int("allowzero", 0) != 0;
  const Dims old = c.dims(0);
  int64_t known = 1, free = -1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && !allow_zero) {
      if (i >= old.size()) fail("dim {} is kept, but the input has {} axes", i, old.size());
      dims[i] = old[i];
    }
    if (dims[i] < -1 || (dims[i] == -1 && free >= 0))
      fail("[{}] is not a shape to reshape to", Shape(dims).text());
    if (dims[i] == -1) free = static_cast<int64_t>(i);
    else if (__builtin_mul_overflow(known, dims[i], &known))
      fail("[{}] is not a shape to reshape to", Shape(dims).text());
  }
  const int64_t count = element_count(old);
  if (free >= 0) dims[static_cast<size_t>(free)] = known == 0 ? 0 : count / known;
  out_reshaped(c, std::move(dims));
}

void transpose_row(OpContext& c) {
  const int64_t rank = c.rank(0);
  Dims perm = range(0, rank);
  std::reverse(perm.begin(), perm.end());
  perm = c.attr_ints("perm", perm);
  if (std::ssize(perm) != rank) fail("perm has {} axes, the input {}", perm.size(), rank);
  c.axes(perm, rank);
  out_moved(c, rank == 0 ? c.expr(0) : transpose(c.expr(0), perm));
}

// Axes are an attribute before version 13, an input from then on.
Dims given_axes(OpContext& c, int64_t rank) {
  return c.axes(c.version() < 13 ? c.attr_ints("axes") : c.ints(1), rank);
}

void squeeze_row(OpContext& c) {
  const Dims old = c.dims(0);
  const bool given = c.version() < 13 ? c.has_attribute("axes") : c.has(1);
  Dims axes;
  if (given) axes = given_axes(c, std::ssize(old));
  Dims dims;
  for (size_t i = 0; i < old.size(); ++i) {
    const auto axis = static_cast<int64_t>(i);
    const bool named = std::find(axes.begin(), axes.end(), axis) != axes.end();
    if (named && old[i] != 1) fail("axis {} of [{}] is not 1", i, Shape(old).text());
    if (!named && (given || old[i] != 1)) dims.push_back(old[i]);
  }
  out_reshaped(c, std::move(dims));
}

void unsqueeze_row(OpContext& c) {
  Dims dims = c.dims(0);
  const Dims raw = c.version() < 13 ? c.attr_ints("axes") : c.ints(1);
  for (const int64_t axis : c.axes(raw, std::ssize(dims) + std::ssize(raw)))
    dims.insert(dims.begin() + axis, 1);
  out_reshaped(c, std::move(dims));
}

void flatten(OpContext& c) {
  const Dims dims = c.dims(0);
  const int64_t rank = std::ssize(dims), given = c.attr_int("axis", 1);
  const int64_t axis = given == rank ? rank : c.axis(given, std::max<int64_t>(rank, 1));
  const Dims outer(dims.begin(), dims.begin() + axis), inner(dims.begin() + axis, dims.end());
  out_reshaped(c, {element_count(outer), element_count(inner)});
}

// Both ways, unlike broadcast_to: a 1 in the target keeps the input's dim.
void expand(OpContext& c) {
  Dims target = c.ints(1);
  const Dims dims = c.dims(0);
  if (target.size() < dims.size()) target.insert(target.begin(), dims.size() - target.size(), 1);
  const size_t missing = target.size() - dims.size();
  for (size_t i = 0; i < dims.size(); ++i)
    if (target[missing + i] == 1) target[missing + i] = dims[i];
  out_moved(c, broadcast_to(c.expr(0), Shape(target)));
}

void concat_row(OpContext& c) {
  const int64_t axis =
      c.axis(c.version() < 4 ? c.attr_int("axis", 1) : c.attr_int("axis"), c.rank(0));
  if (c.input(0).is_string()) c.unsupported("Concat of strings");
  out_moved(c, concat(c.exprs(), axis));
}

void split(OpContext& c) {
  const int64_t axis = c.axis(c.attr_int("axis", 0), c.rank(0));
  const int64_t length = c.dims(0)[static_cast<size_t>(axis)];
  Dims sizes;
  if (c.version() < 13) sizes = c.attr_ints("split");
  if (c.version() == 1 && c.has(1)) sizes = c.ints(1);
  if (c.version() >= 13 && c.has(1)) sizes = c.ints(1);
  const int64_t parts = c.attr_int("num_outputs", c.outputs());
  if (parts < 1 || parts > c.outputs()) fail("{} parts for {} outputs", parts, c.outputs());
  if (sizes.empty()) {
    const int64_t each = (length + parts - 1) / parts;
    for (int64_t i = 0; i < parts; ++i)
      sizes.push_back(std::clamp<int64_t>(length - i * each, 0, each));
  }
  int64_t start = 0;
  for (const int64_t n : sizes) {
    if (n < 0 || n > length - start)
      fail("parts [{}] do not fit {} elements", Shape(sizes).text(), length);
    out_moved(c, slice_axis(c.expr(0), axis, start, n));
    start += n;
  }
  if (start != length) fail("parts [{}] do not fill {} elements", Shape(sizes).text(), length);
}

struct SliceSpec {
  Dims starts, ends, axes, steps;
};

SliceSpec slice_spec(OpContext& c) {
  SliceSpec s;
  if (c.version() < 10) {
    s = {c.attr_ints("starts"), c.attr_ints("ends"), c.attr_ints("axes"), {}};
  } else {
    c.need({1, 2, 3, 4});
    s.starts = c.ints(1), s.ends = c.ints(2);
    if (c.has(3)) s.axes = c.ints(3);
    if (c.has(4)) s.steps = c.ints(4);
  }
  const auto n = s.starts.size();
  if (s.axes.empty()) s.axes = range(0, static_cast<int64_t>(n));
  if (s.steps.empty()) s.steps.assign(n, 1);
  if (s.ends.size() != n || s.axes.size() != n || s.steps.size() != n)
    fail("starts, ends, axes and steps differ in length");
  return s;
}

void slice_row(OpContext& c) {
  const Dims dims = c.dims(0);
  const SliceSpec s = slice_spec(c);
  std::vector<Dim> start(dims.size(), Dim(0)), size(dims.begin(), dims.end());
  Dims stride(dims.size(), 1);
  c.axes(s.axes, std::ssize(dims));
  for (size_t i = 0; i < s.axes.size(); ++i) {
    const auto axis = static_cast<size_t>(c.axis(s.axes[i], std::ssize(dims)));
    const int64_t n = dims[axis], step = s.steps[i];
    if (step == 0) fail("step 0 along axis {}", axis);
    const auto clamped = [&](int64_t v) {
      const int64_t at = v < 0 ? (v < -n ? -1 : v + n) : v;
      return step > 0 ? std::clamp<int64_t>(at, 0, n) : std::clamp<int64_t>(at, -1, n - 1);
    };
    const int64_t first = clamped(s.starts[i]);
    const int64_t distance = step > 0 ? clamped(s.ends[i]) - first : first - clamped(s.ends[i]);
    // A step longer than the axis takes one element.
    const int64_t length =
        step > 0 ? std::min(step, n + 1) : std::min(step < -n ? n + 1 : -step, n + 1);
    const int64_t count = distance <= 0 ? 0 : (distance + length - 1) / length;
    start[axis] = count == 0 ? 0 : first;
    size[axis] = count;
    stride[axis] = step > 0 ? length : -length;
  }
  out_moved(c, slice(c.expr(0), start, size, stride));
}

struct PadSpec {
  Dims low, high;
};

constexpr int64_t kMostPad = int64_t{1} << 40;

PadSpec pad_spec(OpContext& c, int64_t rank) {
  Dims pads, axes = range(0, rank);
  if (c.version() < 11) {
    pads = c.attr_ints(c.version() < 2 ? "paddings" : "pads");
  } else {
    c.need({1, 3});
    pads = c.ints(1);
    if (c.has(3)) axes = c.ints(3);
  }
  if (pads.size() != 2 * axes.size()) fail("{} pads for {} axes", pads.size(), axes.size());
  PadSpec out{Dims(static_cast<size_t>(rank), 0), Dims(static_cast<size_t>(rank), 0)};
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(c.axis(axes[i], rank));
    for (const int64_t pad : {pads[i], pads[i + axes.size()]})
      if (pad < -kMostPad || pad > kMostPad) fail("a pad of {} elements", pad);
    out.low[axis] = pads[i], out.high[axis] = pads[i + axes.size()];
  }
  return out;
}

// Which element of an axis of n stands at position i of the padded one.
int64_t padded_index(const std::string& mode, int64_t i, int64_t n) {
  if (mode == "edge") return std::clamp<int64_t>(i, 0, n - 1);
  if (mode == "wrap") return ((i % n) + n) % n;
  const int64_t period = std::max<int64_t>(2 * (n - 1), 1);  // reflect
  const int64_t at = ((i % period) + period) % period;
  return at < n ? at : period - at;
}

void pad_row(OpContext& c) {
  Expr x = c.expr(0);
  const Dims dims = c.dims(0);
  const std::string mode = c.attr_text("mode", "constant");
  const PadSpec p = pad_spec(c, x.rank());
  if (mode == "constant") {
    Expr fill = constant(c.graph(), Tensor::zeros(x.dtype(), {}));
    if (c.version() < 11)
      fill = constant(c.graph(), Tensor::scalar_of(x.dtype(), c.attr_float("value", 0)));
    else if (c.has(2)) fill = reshape(c.expr(2), Shape{});
    const PadAttrs attrs{
        {p.low.begin(), p.low.end()}, {p.high.begin(), p.high.end()}, Dims(dims.size(), 0)};
    out_moved(c, {&c.graph(), c.graph().add(OpId::pad, {x.value, fill.value}, attrs)});
    return;
  }
  if (mode != "edge" && mode != "wrap" && mode != "reflect")
    fail("mode is '{}', constant, edge, reflect or wrap was expected", mode);
  for (size_t axis = 0; axis < dims.size(); ++axis) {
    if (p.low[axis] == 0 && p.high[axis] == 0) continue;
    if (dims[axis] == 0) fail("axis {} has no element to pad with", axis);
    c.check_count(p.low[axis] + dims[axis] + p.high[axis], "positions along a padded axis");
    Dims from;
    for (int64_t i = -p.low[axis]; i < dims[axis] + p.high[axis]; ++i)
      from.push_back(padded_index(mode, i, dims[axis]));
    x = gather(x, list_constant(c.graph(), from), static_cast<int64_t>(axis));
  }
  out_moved(c, x);
}

// Repeats are a new axis before each, which is then merged.
Expr tiled(const Expr& x, const Dims& repeats) {
  std::vector<Dim> spread, merged;
  Dims axes;
  for (int i = 0; i < x.rank(); ++i) {
    const Dim n = x.shape()[i];
    spread.emplace_back(repeats[static_cast<size_t>(i)]);
    axes.push_back(std::ssize(spread));
    spread.push_back(n);
    merged.push_back(n * Dim(repeats[static_cast<size_t>(i)]));
  }
  return reshape(broadcast(x, Shape(std::move(spread)), std::move(axes)), Shape(std::move(merged)));
}

void tile(OpContext& c) {
  const Expr x = c.expr(0);
  Dims repeats(static_cast<size_t>(x.rank()), 1);
  if (c.version() < 6) repeats[static_cast<size_t>(c.axis(c.integer(2), x.rank()))] = c.integer(1);
  else repeats = c.ints(1);
  if (std::ssize(repeats) != x.rank()) fail("{} repeats for {}", repeats.size(), x.type().text());
  for (const int64_t r : repeats)
    if (r < 0) fail("{} repeats", r);
  out_moved(c, tiled(x, repeats));
}

void constant_row(OpContext& c) {
  if (c.has_attribute("value")) return c.out(c.attr_tensor("value"));
  if (c.has_attribute("sparse_value")) return c.out(c.attr_tensor("sparse_value"));
  if (c.has_attribute("value_int"))
    return c.out(HostTensor(Tensor::scalar<int64_t>(c.attr_int("value_int"))));
  if (c.has_attribute("value_float"))
    return c.out(HostTensor(Tensor::scalar_of(DType::f32, c.attr_float("value_float"))));
  if (c.has_attribute("value_string")) return c.out(HostTensor({}, {c.attr_text("value_string")}));
  if (c.has_attribute("value_ints")) {
    const Dims v = c.attr_ints("value_ints");
    return c.out(HostTensor(Tensor::from<int64_t>({std::ssize(v)}, v)));
  }
  if (c.has_attribute("value_floats")) {
    const std::vector<double> v = c.attr_floats("value_floats");
    return c.out(
        HostTensor(Tensor::from<float>({std::ssize(v)}, std::vector<float>(v.begin(), v.end()))));
  }
  const std::vector<std::string> v = c.attr_texts("value_strings");
  c.out(HostTensor({std::ssize(v)}, v));
}

void constant_of_shape(OpContext& c) {
  const Dims dims = c.ints(0);
  HostTensor value(Tensor::scalar<float>(0));
  if (c.has_attribute("value")) value = c.attr_tensor("value");
  if (value.numbers.size() != 1) fail("attribute 'value' has {} elements", value.numbers.size());
  c.out(broadcast_to(reshape(constant(c.graph(), value.numbers), Shape{}), Shape(dims)),
        value.elem);
}

void range_row(OpContext& c) {
  c.need({0, 1, 2});
  const DType type = c.dtype(0);
  int64_t count = 0;
  if (is_float(type)) {
    const double delta = c.number(2);
    if (delta == 0) fail("the step is 0");
    count = whole_count(std::max(std::ceil((c.number(1) - c.number(0)) / delta), 0.0), "length");
  } else {
    const int64_t start = c.integer(0), limit = c.integer(1), delta = c.integer(2);
    if (delta == 0) fail("the step is 0");
    const auto distance = static_cast<double>(limit) - static_cast<double>(start);
    count = whole_count(std::max(std::ceil(distance / static_cast<double>(delta)), 0.0), "length");
  }
  const Expr index = iota(c.graph(), type, Shape{count}, 0);
  c.out(index * reshape(c.expr(2), Shape{}) + reshape(c.expr(0), Shape{}));
}

// 1 where column - row == k.
void eye_like(OpContext& c) {
  const Dims dims = c.dims(0);
  if (dims.size() != 2) fail("its input has {} axes, 2 were expected", dims.size());
  const ElemType elem = c.has_attribute("dtype") ? elem_type(c.attr_int("dtype")) : c.elem(0);
  Graph& g = c.graph();
  const Expr row = iota(g, DType::i64, Shape(dims), 0),
             column = iota(g, DType::i64, Shape(dims), 1);
  c.out(cast(eq(column - row, static_cast<double>(c.attr_int("k", 0))), carrier(elem)), elem);
}

void trilu(OpContext& c) {
  const Expr x = c.expr(0);
  if (x.rank() < 2) fail("its input has {} axes, at least 2 were expected", x.rank());
  const bool upper = c.attr_int("upper", 1) != 0;
  const int64_t k = c.has(1) ? c.integer(1) : 0;
  const Shape plane{x.shape()[x.rank() - 2], x.shape()[x.rank() - 1]};
  const Expr distance =
      iota(c.graph(), DType::i64, plane, 1) - iota(c.graph(), DType::i64, plane, 0);
  const Expr limit = integer_constant(c.graph(), DType::i64, k);
  c.out(select(upper ? ge(distance, limit) : le(distance, limit), x, full_like(x, 0)), c.elem(0));
}

// Axes cut or filled up with zeros on both sides; of an odd number the last side has one more.
void center_crop_pad(OpContext& c) {
  Expr x = c.expr(0);
  Dims axes = c.attr_ints("axes", range(0, x.rank()));
  for (int64_t& a : axes) a = c.axis(a, x.rank());
  const Dims wanted = c.ints(1), old = c.dims(0);
  if (wanted.size() != axes.size()) fail("{} sizes for {} axes", wanted.size(), axes.size());
  for (size_t i = 0; i < axes.size(); ++i) {
    const auto axis = static_cast<size_t>(axes[i]);
    const int64_t n = wanted[i];
    if (n < 0) fail("a size of {}", n);
    const int64_t more = n - x.shape()[static_cast<int>(axis)].value();
    if (more < 0) x = slice_axis(x, axes[i], -more / 2, n);
    if (more <= 0) continue;
    std::vector<Dim> low(old.size(), Dim(0)), high = low;
    low[axis] = Dim(more / 2), high[axis] = Dim(more - more / 2);
    x = pad(x, 0, low, high);
  }
  out_moved(c, x);
}

constexpr OpRow kRows[] = {
    {"CenterCropPad", 18, center_crop_pad},
    {"Concat", 1, concat_row},
    {"Constant", 1, constant_row},
    {"ConstantOfShape", 9, constant_of_shape},
    {"Expand", 8, expand},
    {"EyeLike", 9, eye_like},
    {"Flatten", 1, flatten},
    {"Identity", 1, identity},
    {"Pad", 1, pad_row},
    {"Range", 11, range_row},
    {"Reshape", 1, reshape_row},
    {"Shape", 1, shape},
    {"Size", 1, size},
    {"Slice", 1, slice_row},
    {"Split", 1, split},
    {"Squeeze", 1, squeeze_row},
    {"Tile", 1, tile},
    {"Transpose", 1, transpose_row},
    {"Trilu", 14, trilu},
    {"Unsqueeze", 1, unsqueeze_row},
};

}  // namespace

std::span<const OpRow> shape_rows() { return kRows; }

}  // namespace lathe::onnx
