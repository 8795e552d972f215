// Resize and Upsample. Interpolation is separable, and where each result comes from is known while
// tracing: along one axis after another, a result is a weighted sum of a few elements.
#include <algorithm>
#include <cmath>

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

enum class Kind : uint8_t { Nearest, Linear, Cubic };
enum class Corner : uint8_t {  // coordinate_transformation_mode
  HalfPixel,
  HalfPixelSymmetric,
  PytorchHalfPixel,
  AlignCorners,
  Asymmetric,
  TfHalfPixelForNn,
  TfCropAndResize,
};
enum class Rounding : uint8_t { PreferFloor, PreferCeil, Floor, Ceil };

struct Method {
  Kind kind = Kind::Nearest;
  Corner corner = Corner::HalfPixel;
  Rounding rounding = Rounding::PreferFloor;
  double cubic = -0.75;
  bool exclude_outside = false, antialias = false;
  double extrapolation = 0;
};

constexpr int64_t kMostElements = int64_t{1} << 31;  // of an axis, so that an index is an i32

struct Axis {
  int64_t from = 1, to = 1;   // elements
  double scale = 1;           // as given: to is from * scale, rounded somehow
  double begin = 0, end = 1;  // the region of interest, of the axis
};

// Result i is the sum over k of weight[k][i] times element index[k][i]; outside[i] says that it is
// the extrapolation value instead.
struct Taps {
  std::vector<Dims> index;
  std::vector<std::vector<double>> weight;
  std::vector<bool> outside;
};

template <class T>
T choice(OpContext& c, std::string_view attribute, std::string_view missing,
         std::initializer_list<std::pair<std::string_view, T>> choices) {
  const std::string given = c.attr_text(attribute, std::string(missing));
  for (const auto& [text, value] : choices)
    if (text == given) return value;
  fail("attribute '{}' is '{}'", attribute, given);
}

// Where result i lies between the elements.
double coordinate(const Axis& a, Corner corner, int64_t i) {
  const auto x = static_cast<double>(i), from = static_cast<double>(a.from);
  const double width = a.scale * from;  // of the result, not rounded
  const double half_pixel = (x + 0.5) / a.scale - 0.5;
  switch (corner) {
    case Corner::HalfPixel: return half_pixel;
    case Corner::HalfPixelSymmetric:
      return from / 2 * (1 - static_cast<double>(a.to) / width) + half_pixel;
    case Corner::PytorchHalfPixel: return width == 1 ? -0.5 : half_pixel;
    case Corner::AlignCorners: return width == 1 ? 0 : x * (from - 1) / (width - 1);
    case Corner::Asymmetric: return x / a.scale;
    case Corner::TfHalfPixelForNn: return (x + 0.5) / a.scale;
    case Corner::TfCropAndResize: break;
  }
  const double region = (a.end - a.begin) * (from - 1);
  return a.begin * (from - 1) + (width == 1 ? region / 2 : x * region / (width - 1));
}

double rounded(double x, Rounding how) {
  switch (how) {
    case Rounding::PreferFloor: return std::ceil(x - 0.5);
    case Rounding::PreferCeil: return std::floor(x + 0.5);
    case Rounding::Floor: return std::floor(x);
    case Rounding::Ceil: return std::ceil(x);
  }
  return x;
}

// The interpolation kernel at a distance.
double kernel(const Method& m, double distance) {
  const double d = std::abs(distance), a = m.cubic;
  if (m.kind == Kind::Linear) return std::max(1 - d, 0.0);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

// One result's elements and weights: those that the kernel, widened where antialias asks for it,
// reaches around x. Indices may lie outside of the axis, whose border elements are repeated there.
void add_taps(Taps& taps, const Axis& a, const Method& m, double x, size_t i) {
  const double squeeze = m.antialias ? std::min(a.scale, 1.0) : 1;
  const double support = m.kind == Kind::Linear ? 1 : 2;
  const auto first = static_cast<int64_t>(std::floor(-support / squeeze) + 1);
  const double base = std::ceil(x) - 1;  // x lies in (base, base + 1]
  double sum = 0;
  for (size_t k = 0; k < taps.index.size(); ++k) {
    const double at = base + static_cast<double>(first + static_cast<int64_t>(k));
    const bool inside = at >= 0 && at < static_cast<double>(a.from);
    const double w = inside || !m.exclude_outside ? kernel(m, squeeze * (at - x)) : 0;
    taps.weight[k][i] = w;
    taps.index[k][i] = static_cast<int64_t>(std::clamp(at, 0.0, static_cast<double>(a.from - 1)));
    sum += w;
  }
  if (sum != 0)
    for (auto& weight : taps.weight) weight[i] /= sum;
}

size_t tap_count(const Axis& a, const Method& m) {
  if (m.kind == Kind::Nearest || a.to == 0) return 1;
  const double squeeze = m.antialias ? std::min(a.scale, 1.0) : 1;
  const double support = m.kind == Kind::Linear ? 1 : 2;
  return static_cast<size_t>(2 - 2 * (std::floor(-support / squeeze) + 1));
}

Taps taps_of(OpContext& c, const Axis& a, const Method& m) {
  c.check_table({a.to, static_cast<int64_t>(tap_count(a, m)), 2}, "indices and weights");
  const auto n = static_cast<size_t>(a.to);
  Taps taps;
  taps.index.assign(tap_count(a, m), Dims(n));
  taps.weight.assign(taps.index.size(), std::vector<double>(n, 1));
  taps.outside.assign(n, false);
  const auto last = static_cast<double>(a.from - 1);
  for (size_t i = 0; i < n; ++i) {
    const double x = coordinate(a, m.corner, static_cast<int64_t>(i));
    if (!std::isfinite(x)) fail("element {} of {} lies at {}", i, n, x);
    taps.outside[i] = m.corner == Corner::TfCropAndResize && (x < 0 || x > last);
    if (m.kind != Kind::Nearest) add_taps(taps, a, m, x, i);
    else taps.index[0][i] = static_cast<int64_t>(std::clamp(rounded(x, m.rounding), 0.0, last));
  }
  return taps;
}

// --- as a graph ----------------------------------------------------------------------------------

// Elements `index` of an axis: all of it, every s-th, each several times, or any.
Expr pick(const Expr& x, int64_t axis, const Dims& index) {
  const auto n = std::ssize(index), from = x.shape()[static_cast<int>(axis)].value();
  const auto is = [&](auto&& f) {
    for (int64_t i = 0; i < n; ++i)
      if (index[static_cast<size_t>(i)] != f(i)) return false;
    return true;
  };
  if (n == from && is([](int64_t i) { return i; })) return x;
  const int64_t step = n > 1 ? index[1] - index[0] : 1;
  if (n > 0 && step > 0 && is([&](int64_t i) { return index[0] + i * step; })) {
    const Dims dims = x.shape().static_dims();
    std::vector<Dim> start(dims.size(), 0), size(dims.begin(), dims.end());
    Dims stride(dims.size(), 1);
    const auto at = static_cast<size_t>(axis);
    start[at] = index[0], size[at] = n, stride[at] = step;
    return slice(x, start, size, stride);
  }
  if (n > from && n % from == 0 && is([&](int64_t i) { return i / (n / from); })) {
    Dims dims = x.shape().static_dims(), repeated = dims;
    repeated.insert(repeated.begin() + axis + 1, n / from);
    dims[static_cast<size_t>(axis)] = n;
    return reshape(broadcast_to(expand_dims(x, axis + 1), Shape(repeated)), Shape(dims));
  }
  const Tensor at = Tensor::from<int32_t>({n}, {index.begin(), index.end()});
  return gather(x, constant(*x.graph, at), axis);
}

Expr weights_constant(const Expr& x, const std::vector<double>& values, Dims dims) {
  Tensor t = Tensor::empty(x.dtype(), std::move(dims));
  for (int64_t i = 0; i < t.size(); ++i) t.set(i, values[static_cast<size_t>(i)]);
  return constant(*x.graph, t);
}

// Beyond this many elements for each result a matrix product does it.
constexpr size_t kMostTaps = 4;

Expr weighted(OpContext& c, const Expr& x, int64_t axis, const Axis& a, const Taps& taps) {
  if (taps.index.size() > kMostTaps) {
    c.check_table({a.from, a.to}, "weights");
    std::vector<double> matrix(static_cast<size_t>(a.from * a.to), 0);
    for (size_t k = 0; k < taps.index.size(); ++k)
      for (size_t i = 0; i < taps.index[k].size(); ++i)
        matrix[static_cast<size_t>(taps.index[k][i] * a.to) + i] += taps.weight[k][i];
    const Expr w = weights_constant(x, matrix, {a.from, a.to});
    const Expr y =
        dot_general(x, w, {.lhs_contract = {axis}, .rhs_contract = {0}, .dtype = x.dtype()});
    Dims perm = range(0, x.rank() - 1);
    perm.insert(perm.begin() + axis, x.rank() - 1);
    return transpose(y, perm);
  }
  Expr sum;
  for (size_t k = 0; k < taps.index.size(); ++k) {
    const std::vector<double>& w = taps.weight[k];
    const auto all = [&](double v) {
      return std::all_of(w.begin(), w.end(), [&](double e) { return e == v; });
    };
    const bool is_only_one = !sum.defined() && k + 1 == taps.index.size();
    if (all(0) && !is_only_one) continue;
    Expr term = pick(x, axis, taps.index[k]);
    if (!all(1)) term = term * along(weights_constant(x, w, {a.to}), axis, x.rank());
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

// Integers are interpolated in floats and truncated.
DType compute_type_of(DType t, Kind kind) {
  if (kind == Kind::Nearest || t == DType::f64) return t;
  return is_integer(t) && byte_size(t) > 2 ? DType::f64 : DType::f32;
}

Expr resized(OpContext& c, const Expr& x, const std::vector<Axis>& axes, const Method& m) {
  Expr y = cast(x, compute_type_of(x.dtype(), m.kind)), outside;
  for (int64_t axis = 0; axis < x.rank(); ++axis) {
    const Axis& a = axes[static_cast<size_t>(axis)];
    if (a.from == 0 && a.to > 0) fail("axis {} has no elements to make {} of", axis, a.to);
    if (a.from >= kMostElements) fail("axis {} has {} elements", axis, a.from);
    const bool moves = m.corner == Corner::TfCropAndResize || m.corner == Corner::TfHalfPixelForNn;
    if (a.to == a.from && a.scale == 1 && !moves) continue;
    const Taps taps = taps_of(c, a, m);
    y = weighted(c, y, axis, a, taps);
    if (std::find(taps.outside.begin(), taps.outside.end(), true) == taps.outside.end()) continue;
    Tensor flags = Tensor::empty(DType::boolean, {a.to});
    for (int64_t i = 0; i < a.to; ++i) flags.set_int(i, taps.outside[static_cast<size_t>(i)]);
    const Expr here = along(constant(*x.graph, flags), axis, x.rank());
    outside = outside.defined() ? bit_or(outside, here) : here;
  }
  if (outside.defined()) y = select(outside, full_like(y, m.extrapolation), y);
  return cast(y, x.dtype());
}

// --- attributes and inputs -----------------------------------------------------------------------

Kind read_kind(OpContext& c) {
  return choice<Kind>(c, "mode", "nearest",
                      {{"nearest", Kind::Nearest},
                       {"linear", Kind::Linear},
                       {"bilinear", Kind::Linear},
                       {"cubic", Kind::Cubic}});
}

Method read_method(OpContext& c) {
  Method m;
  m.kind = read_kind(c);
  m.corner = choice<Corner>(c, "coordinate_transformation_mode", "half_pixel",
                            {{"half_pixel", Corner::HalfPixel},
                             {"half_pixel_symmetric", Corner::HalfPixelSymmetric},
                             {"pytorch_half_pixel", Corner::PytorchHalfPixel},
                             {"align_corners", Corner::AlignCorners},
                             {"asymmetric", Corner::Asymmetric},
                             {"tf_half_pixel_for_nn", Corner::TfHalfPixelForNn},
                             {"tf_crop_and_resize", Corner::TfCropAndResize}});
  m.rounding = choice<Rounding>(c, "nearest_mode", "round_prefer_floor",
                                {{"round_prefer_floor", Rounding::PreferFloor},
                                 {"round_prefer_ceil", Rounding::PreferCeil},
                                 {"floor", Rounding::Floor},
                                 {"ceil", Rounding::Ceil}});
  m.cubic = c.attr_float("cubic_coeff_a", -0.75);
  m.exclude_outside = c.attr_int("exclude_outside", 0) != 0;
  m.antialias = c.attr_int("antialias", 0) != 0;
  m.extrapolation = c.attr_float("extrapolation_value", 0);
  return m;
}

// As version 10 and Upsample have it.
Method old_method(OpContext& c) {
  return {.kind = read_kind(c), .corner = Corner::Asymmetric, .rounding = Rounding::Floor};
}

void set_scale(Axis& a, double scale) {
  const double to = std::floor(static_cast<double>(a.from) * scale);
  if (!(scale > 0) || !(to < static_cast<double>(kMostElements)))
    fail("{} elements are to be scaled by {}", a.from, scale);
  a.scale = scale;
  a.to = static_cast<int64_t>(to);
}

std::vector<Axis> axes_of(OpContext& c) {
  std::vector<Axis> axes;
  for (const int64_t d : c.dims(0)) axes.push_back({.from = d, .to = d});
  return axes;
}

void set_scales(std::vector<Axis>& axes, const Dims& which, const std::vector<double>& scales) {
  if (scales.size() != which.size()) fail("{} scales for {} axes", scales.size(), which.size());
  for (size_t i = 0; i < which.size(); ++i)
    set_scale(axes[static_cast<size_t>(which[i])], scales[i]);
}

// A policy other than "stretch" takes one scale for all of the axes.
void set_sizes(std::vector<Axis>& axes, const Dims& which, const Dims& sizes,
               const std::string& policy) {
  if (sizes.size() != which.size()) fail("{} sizes for {} axes", sizes.size(), which.size());
  std::vector<double> scales;
  for (size_t i = 0; i < which.size(); ++i) {
    Axis& a = axes[static_cast<size_t>(which[i])];
    if (sizes[i] < 0 || sizes[i] >= kMostElements) fail("a size of {}", sizes[i]);
    a.to = sizes[i];
    if (a.from > 0) a.scale = static_cast<double>(a.to) / static_cast<double>(a.from);
    scales.push_back(a.scale);
  }
  if (policy == "stretch" || scales.empty()) return;
  if (policy != "not_larger" && policy != "not_smaller")
    fail("keep_aspect_ratio_policy is '{}'", policy);
  const double scale = policy == "not_larger" ? *std::min_element(scales.begin(), scales.end())
                                              : *std::max_element(scales.begin(), scales.end());
  for (const int64_t axis : which) {
    Axis& a = axes[static_cast<size_t>(axis)];
    a.scale = scale;
    a.to = whole_count(std::floor(scale * static_cast<double>(a.from) + 0.5), "size");
  }
}

bool given(OpContext& c, int i) { return c.has(i) && element_count(c.dims(i)) > 0; }

// Inputs: x, the region of interest, scales, sizes; either of the last two.
void resize(OpContext& c) {
  const Method m = read_method(c);
  const int64_t rank = c.rank(0);
  Dims which = c.attr_ints("axes", range(0, rank));
  for (int64_t& axis : which) axis = c.axis(axis, rank);
  const std::string policy = c.attr_text("keep_aspect_ratio_policy", "stretch");
  const bool crops = m.corner == Corner::TfCropAndResize && given(c, 1);
  const bool by_scale = given(c, 2);
  if (!by_scale && !given(c, 3)) fail("neither scales nor sizes are given");
  const int size_input = by_scale ? 2 : 3;
  if (crops) c.need({1, size_input});
  std::vector<Axis> axes = axes_of(c);
  if (by_scale) set_scales(axes, which, c.numbers(2));
  else set_sizes(axes, which, c.ints(3), policy);
  if (crops) {
    const std::vector<double> roi = c.numbers(1);
    if (roi.size() != 2 * which.size())
      fail("{} limits of the region for {} axes", roi.size(), which.size());
    for (size_t i = 0; i < which.size(); ++i) {
      axes[static_cast<size_t>(which[i])].begin = roi[i];
      axes[static_cast<size_t>(which[i])].end = roi[which.size() + i];
    }
  }
  c.out(resized(c, c.expr(0), axes, m), c.elem(0));
}

void resize_by(OpContext& c, const std::vector<double>& scales) {
  const Method m = old_method(c);
  std::vector<Axis> axes = axes_of(c);
  set_scales(axes, range(0, c.rank(0)), scales);
  c.out(resized(c, c.expr(0), axes, m), c.elem(0));
}

void resize_by_input(OpContext& c) { resize_by(c, c.numbers(1)); }
void upsample_by_list(OpContext& c) { resize_by(c, c.attr_floats("scales")); }
void upsample_image(OpContext& c) {
  resize_by(c, {1, 1, c.attr_float("height_scale"), c.attr_float("width_scale")});
}

constexpr OpRow kRows[] = {
    {"Resize", 10, resize_by_input},  {"Resize", 11, resize},
    {"Upsample", 1, upsample_image},  {"Upsample", 7, upsample_by_list},
    {"Upsample", 9, resize_by_input},
};

}  // namespace

std::span<const OpRow> resize_rows() { return kRows; }

}  // namespace lathe::onnx
