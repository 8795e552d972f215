// Tensors sampled at computed places: grids and deformed windows. Regions are in ops_region.cpp.
#include "frontend/onnx/row.h"
#include "frontend/onnx/sample.h"
#include "frontend/onnx/window.h"

namespace lathe::onnx {
namespace {

// Inputs: theta [N, n, n+1] and the size [N, C, S..] of the image; n is 2 or 3. Coordinates are
// those of the image from -1 to 1, the last axis first.
void affine_grid(OpContext& c) {
  Graph& g = c.graph();
  const Expr theta = c.expr(0);
  const Dims size = c.ints(1);
  const bool align = c.attr_int("align_corners", 0) != 0;
  const auto n = std::ssize(size) - 2;
  if (n < 1 || !(theta.shape() == Shape{size[0], n, n + 1}))
    fail("theta is {} for an image of [{}]", theta.type().text(), Shape(size).text());
  Dims places(size.begin() + 2, size.end());
  Dims column = {size[0]};
  column.insert(column.end(), places.size(), 1);
  column.push_back(n);
  const auto coefficient = [&](int64_t k) {
    return reshape(slice_axis(theta, 2, k, 1), Shape(column));
  };
  Expr grid = coefficient(n);
  for (int64_t k = 0; k < n; ++k) {
    const int64_t axis = n - 1 - k, d = places[static_cast<size_t>(axis)];
    Dims along_axis(places.size() + 2, 1);
    along_axis[static_cast<size_t>(axis + 1)] = d;
    const Expr i = iota(g, theta.dtype(), Shape(along_axis), axis + 1);
    const double step = align ? 2.0 / static_cast<double>(std::max<int64_t>(d - 1, 1))
                              : 2.0 / static_cast<double>(d);
    grid = coefficient(k) * (i * step + (align ? -1.0 : step / 2 - 1)) + grid;
  }
  Dims out = {size[0]};
  out.insert(out.end(), places.begin(), places.end());
  out.push_back(n);
  c.out(broadcast_to(grid, Shape(out)));
}

enum class Padding : uint8_t { Zeros, Border, Reflection };

// x between low and high, reflected as often as it takes.
Expr reflected(const Expr& x, double low, double high) {
  const double extent = high - low;
  if (extent <= 0) return full_like(x, low);
  const Expr beyond = max(low - x, x - high);
  const Expr turns = floor(beyond / extent);
  const Expr rest = beyond - turns * extent;
  const Expr odd = ne(turns - floor(turns * 0.5) * 2.0, full_like(turns, 0));
  const Expr from_low = bit_xor(lt(x, low), odd);
  return select(lt(beyond, 0), x, select(from_low, rest + low, high - rest));
}

struct GridMethod {
  bool align = false;
  Padding padding = Padding::Zeros;
  // The range of coordinates of an axis.
  double low() const { return align ? 0 : -0.5; }
  double high(int64_t size) const { return static_cast<double>(size) - (align ? 1 : 0.5); }
};

// A coordinate from [-1, 1] to elements of an axis.
Expr denormalized(const Expr& x, int64_t size, bool align) {
  const auto n = static_cast<double>(size);
  return align ? (x + 1.0) / 2.0 * (n - 1) : ((x + 1.0) * n - 1.0) / 2.0;
}

Expr padded(const Expr& x, int64_t size, const GridMethod& m) {
  const double low = m.low(), high = m.high(size);
  if (m.padding == Padding::Zeros) return x;
  if (m.padding == Padding::Reflection) return reflected(x, low, high);
  const Expr outside = bit_or(lt(x, low), lt(full_like(x, high), x));
  return select(outside, max(min(x, static_cast<double>(size - 1)), 0.0), x);
}

// Indices of neighbours that lie outside.
Expr padded_index(const Expr& i, int64_t size, const GridMethod& m) {
  if (m.padding != Padding::Reflection) return i;
  return cast(reflected(cast(i, DType::f32), m.low(), m.high(size)), DType::i32);
}

Padding read_padding(OpContext& c) {
  const std::string mode = c.attr_text("padding_mode", "zeros");
  if (mode == "zeros") return Padding::Zeros;
  if (mode == "border") return Padding::Border;
  if (mode == "reflection") return Padding::Reflection;
  fail("padding_mode is '{}'", mode);
}

std::string read_mode(OpContext& c) {
  const bool old = c.version() < 20;
  const std::string mode = c.attr_text("mode", old ? "bilinear" : "linear");
  if (mode == "nearest") return mode;
  if (mode == "linear" || mode == "bilinear") return "linear";
  if (mode == "cubic" || mode == "bicubic") return "cubic";
  fail("mode is '{}'", mode);
}

// The coordinates of each axis, [N, 1, 1, places..]; the grid has the last axis first.
std::vector<Expr> grid_coordinates(const Expr& grid, const Dims& sizes, const Dims& places,
                                   const GridMethod& m) {
  Dims dims = {grid.shape()[0].value(), 1, 1};
  dims.insert(dims.end(), places.begin(), places.end());
  const auto n = std::ssize(sizes);
  std::vector<Expr> out;
  for (int64_t i = 0; i < n; ++i) {
    const Expr x = reshape(slice_axis(grid, grid.rank() - 1, n - 1 - i, 1), Shape(dims));
    out.push_back(denormalized(x, sizes[static_cast<size_t>(i)], m.align));
  }
  return out;
}

void grid_sample(OpContext& c) {
  const Expr x = c.expr(0), grid = widened(c.expr(1));
  const Dims dx = c.dims(0), dg = c.dims(1);
  const auto n = std::ssize(dx) - 2;
  if (n < 1 || std::ssize(dg) != n + 2 || dg.back() != n || dg[0] != dx[0])
    fail("a grid {} for {}", grid.type().text(), x.type().text());
  const GridMethod m{c.attr_int("align_corners", 0) != 0, read_padding(c)};
  const std::string mode = read_mode(c);
  const Dims sizes(dx.begin() + 2, dx.end()), places(dg.begin() + 1, dg.end() - 1);
  const Sampler sampler(x, 1, Shape(places));
  std::vector<Expr> at = grid_coordinates(grid, sizes, places, m);
  std::vector<AxisTaps> taps;
  for (size_t i = 0; i < at.size(); ++i) {
    if (mode == "nearest") at[i] = round_even(at[i]);
    at[i] = padded(at[i], sizes[i], m);
    taps.push_back(mode == "cubic" ? cubic_taps(at[i]) : linear_taps(at[i]));
  }
  const auto value = [&](std::vector<Expr> indices) {
    for (size_t i = 0; i < indices.size(); ++i) indices[i] = padded_index(indices[i], sizes[i], m);
    return m.padding == Padding::Zeros ? sampler.at_or_zero(indices) : sampler.at(indices);
  };
  Expr y;
  if (mode == "nearest") {
    for (Expr& i : at) i = cast(i, DType::i32);
    y = value(at);
  } else {
    y = weighted_sum(
        taps, [&](const std::vector<Expr>& indices) { return cast(value(indices), grid.dtype()); });
  }
  Dims out = {dx[0], dx[1]};
  out.insert(out.end(), places.begin(), places.end());
  c.out(cast(reshape(y, Shape(out)), x.dtype()), c.elem(0));
}

// Inputs: x, weights, offsets [N, groups * taps * n, positions..], bias, mask of the same without
// n. Each tap of each position is moved by its offset and read there, linearly between elements.
void deform_conv(OpContext& c) {
  Graph& g = c.graph();
  const Expr x = c.expr(0), w = c.expr(1), offset = widened(c.expr(2));
  const Dims dx = c.dims(0), dw = c.dims(1);
  if (dw.size() < 3) fail("its weights are {}", w.type().text());
  const Window window = read_window(c, dx, Dims(dw.begin() + 2, dw.end()));
  const WindowAttrs& a = window.attrs;
  const int64_t n = window.axes(), groups = c.attr_int("offset_group", 1);
  const int64_t taps = element_count(a.kernel);
  Dims split = {dx[0], groups};  // [N, groups, taps.., n, positions..]
  split.insert(split.end(), a.kernel.begin(), a.kernel.end());
  Dims of_mask = split;
  split.push_back(n);
  split.insert(split.end(), window.positions.begin(), window.positions.end());
  of_mask.insert(of_mask.end(), window.positions.begin(), window.positions.end());
  of_mask.insert(of_mask.begin() + 2, 1);
  if (offset.shape().element_count() != element_count(split))
    fail("offsets {} for {} taps at [{}] in {} groups", offset.type().text(), taps,
         Shape(window.positions).text(), groups);
  const Expr parts = reshape(offset, Shape(split));
  Dims places = a.kernel;
  places.insert(places.end(), window.positions.begin(), window.positions.end());
  std::vector<AxisTaps> axes;
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i);
    Dims of_tap(places.size() + 3, 1), of_position = of_tap;
    of_tap[3 + at] = a.kernel[at];
    of_position[static_cast<size_t>(3 + n) + at] = window.positions[at];
    const Expr tap = iota(g, offset.dtype(), Shape(of_tap), 3 + i);
    const Expr position = iota(g, offset.dtype(), Shape(of_position), 3 + n + i);
    const Expr moved = reshape(slice_axis(parts, 2 + n, i, 1), Shape(of_mask));
    axes.push_back(linear_taps(position * static_cast<double>(a.stride[at]) +
                               tap * static_cast<double>(a.dilation[at]) -
                               static_cast<double>(a.low[at]) + moved));
  }
  const Sampler sampler(x, groups, Shape(places));
  Expr patches = weighted_sum(axes, [&](const std::vector<Expr>& indices) {
    return cast(sampler.at_or_zero(indices), offset.dtype());
  });
  if (c.has(4)) patches = patches * widened(reshape(c.expr(4), Shape(of_mask)));
  Dims merged = {dx[0], dx[1]}, perm = {0, 1};  // to [N, C, positions.., taps..]
  merged.insert(merged.end(), places.begin(), places.end());
  for (int64_t i = 0; i < n; ++i) perm.push_back(2 + n + i);
  for (int64_t i = 0; i < n; ++i) perm.push_back(2 + i);
  patches = cast(transpose(reshape(patches, Shape(merged)), perm), x.dtype());
  Expr y = convolve_patches(patches, w, n, c.attr_int("group", 1), x.dtype());
  if (c.has(3)) y = y + along(c.expr(3), 1, y.rank());
  c.out(y);
}

constexpr OpRow kRows[] = {
    {"AffineGrid", 20, affine_grid},
    {"DeformConv", 19, deform_conv},
    {"GridSample", 16, grid_sample},
};

}  // namespace

std::span<const OpRow> sample_rows() { return kRows; }

}  // namespace lathe::onnx
