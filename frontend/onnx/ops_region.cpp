// Pooling over regions of interest, which are data.
#include <limits>

#include "frontend/onnx/row.h"
#include "frontend/onnx/sample.h"

namespace lathe::onnx {
namespace {

constexpr double kLowest = -std::numeric_limits<double>::infinity();

// Of RoiAlign. Axes are [R, 1, C, bins, samples, bins, samples]: of the regions, channels, and for
// height and width how many bins there are and how many samples each has. These are of one axis:
struct Bins {
  Expr begin, size;  // [R, 1, 1, 1, 1, 1, 1]
  Expr samples;      // how many a bin has, the same type
  int64_t count = 1;
};

struct Regions {
  Expr x, images;  // [N, C, H, W], [R]
  Bins high, wide;
  bool maximum = false;
};

// Where sample `step` of each bin lies; `axis` is that of the bins.
Expr places(const Bins& b, int64_t axis, const Expr& step) {
  Dims dims(7, 1);
  dims[static_cast<size_t>(axis)] = b.count;
  const Expr bin = iota(*b.begin.graph, b.begin.dtype(), Shape(dims), axis);
  return b.begin + bin * b.size + (step + 0.5) * b.size / b.samples;
}

// Samples of every bin. Points further than one element outside read 0; between there and the
// border they read the border.
Expr sampled(const Regions& r, const Expr& step_high, const Expr& step_wide) {
  const Dims dx = r.x.shape().static_dims();
  const auto far = [](const Expr& v, int64_t n) {
    return bit_or(lt(v, -1), lt(full_like(v, static_cast<double>(n)), v));
  };
  const auto taps = [](const Expr& v, int64_t n) {
    return linear_taps(min(max(v, 0.0), static_cast<double>(n - 1)));
  };
  const Expr y = places(r.high, 3, step_high), x = places(r.wide, 5, step_wide);
  const std::vector<AxisTaps> axes = {taps(y, dx[2]), taps(x, dx[3])};
  const Sampler sampler(
      r.x, 1, Shape{r.high.count, y.shape()[4].value(), r.wide.count, x.shape()[6].value()},
      r.images);
  Expr value;
  if (r.maximum) {  // the largest of the weighted neighbours
    for (size_t i = 0; i < 2; ++i)
      for (size_t j = 0; j < 2; ++j) {
        const Expr term = sampler.at({axes[0].indices[i], axes[1].indices[j]}) *
                          axes[0].weights[i] * axes[1].weights[j];
        value = value.defined() ? max(value, term) : term;
      }
  } else {
    value = weighted_sum(axes, [&](const std::vector<Expr>& at) { return sampler.at(at); });
  }
  return select(bit_or(far(y, dx[2]), far(x, dx[3])), full_like(value, 0), value);
}

Expr sampled_evenly(const Regions& r, int64_t samples) {
  Graph& g = *r.x.graph;
  const DType type = r.high.begin.dtype();
  const Expr value = sampled(r, iota(g, type, Shape{1, 1, 1, 1, samples, 1, 1}, 4),
                             iota(g, type, Shape{1, 1, 1, 1, 1, 1, samples}, 6));
  if (r.maximum) return keep_axes(reduce_max(value, {4, 6}), {4, 6});
  return keep_axes(reduce_sum(value, {4, 6}), {4, 6});
}

// Values of `outer` as inputs of a region of their own, in order.
std::vector<Expr> as_inputs(Graph& g, const std::vector<Expr>& outer) {
  std::vector<Expr> out;
  for (size_t i = 0; i < outer.size(); ++i)
    out.push_back(input(g, fmt::format("in{}", i), outer[i].type()));
  return out;
}

// Where the number of samples goes with a region's size: a loop to the largest number, in which
// regions that have fewer skip the rest.
Expr sampled_by_size(const Regions& r) {
  Graph& g = *r.x.graph;
  const auto most = [](const Expr& samples) {
    return max(reduce_max(cast(samples, DType::i32), range(0, 7)), 0.0);
  };
  const Expr rows = most(r.high.samples), columns = most(r.wide.samples);
  const Dims dx = r.x.shape().static_dims();
  const Shape shape{r.images.shape()[0].value(), 1, dx[1], r.high.count, 1, r.wide.count, 1};
  const std::vector<Expr> carries = {
      full(g, {DType::i32, {}}, 0),
      full(g, {r.high.begin.dtype(), shape}, r.maximum ? kLowest : 0)};
  const std::vector<Expr> constants = {
      rows,        columns,        r.x,          r.images,    r.high.begin,
      r.high.size, r.high.samples, r.wide.begin, r.wide.size, r.wide.samples};
  std::vector<Expr> all = carries;
  all.insert(all.end(), constants.begin(), constants.end());
  const auto test = std::make_shared<Graph>("more_samples"),
             body = std::make_shared<Graph>("sample");
  const std::vector<Expr> t = as_inputs(*test, all), b = as_inputs(*body, all);
  test->add_output("goes_on", lt(t[0], t[2] * t[3]).value);
  const Regions inner{
      b[4], b[5], {b[6], b[7], b[8], r.high.count}, {b[9], b[10], b[11], r.wide.count}, r.maximum};
  const DType type = r.high.begin.dtype();
  const Expr width = max(b[3], 1.0);
  const Expr step_high = cast(b[0] / width, type), step_wide = cast(rem(b[0], width), type);
  const auto scalar_in_7 = [](const Expr& e) { return reshape(e, Shape{1, 1, 1, 1, 1, 1, 1}); };
  const Expr value = sampled(inner, scalar_in_7(step_high), scalar_in_7(step_wide));
  const Expr there = bit_and(lt(step_high, inner.high.samples), lt(step_wide, inner.wide.samples));
  const Expr next = r.maximum ? max(b[1], value) : b[1] + value;
  body->add_output("step", (b[0] + 1.0).value);
  body->add_output("sum", select(there, next, b[1]).value);
  return while_loop(g, test, body, carries, constants)[1];
}

// Inputs: x, regions [R, 4] as x1, y1, x2, y2, and which image each is of.
void roi_align(OpContext& c) {
  Regions r;
  r.x = widened(c.expr(0));
  r.images = cast(c.expr(2), DType::i32);
  const Expr regions = cast(c.expr(1), r.x.dtype());
  const Dims dx = c.dims(0);
  if (dx.size() != 4 || regions.rank() != 2 || c.dims(1)[1] != 4 || c.dims(2) != Dims{c.dims(1)[0]})
    fail("its inputs are {}, {} and {}", r.x.type().text(), regions.type().text(),
         r.images.type().text());
  const std::string corner = c.attr_text("coordinate_transformation_mode",
                                         c.version() < 16 ? "output_half_pixel" : "half_pixel");
  const std::string mode = c.attr_text("mode", "avg");
  if (corner != "half_pixel" && corner != "output_half_pixel")
    fail("coordinate_transformation_mode is '{}'", corner);
  if (mode != "avg" && mode != "max") fail("mode is '{}'", mode);
  r.maximum = mode == "max";
  const double scale = c.attr_float("spatial_scale", 1), shift = corner == "half_pixel" ? 0.5 : 0;
  const int64_t samples = c.attr_int("sampling_ratio", 0);
  r.high.count = c.attr_int("output_height", 1);
  r.wide.count = c.attr_int("output_width", 1);
  if (r.high.count < 1 || r.wide.count < 1 || samples < 0 || samples >= int64_t{1} << 15)
    fail("{} x {} bins of {} samples", r.high.count, r.wide.count, samples);
  for (Bins* b : {&r.wide, &r.high}) {
    const int64_t first = b == &r.wide ? 0 : 1;
    const auto limit = [&](int64_t k) {
      return reshape(slice_axis(regions, 1, k, 1), Shape{c.dims(1)[0], 1, 1, 1, 1, 1, 1}) * scale -
             shift;
    };
    b->begin = limit(first);
    Expr extent = limit(first + 2) - b->begin;
    if (shift == 0) extent = max(extent, 1.0);
    b->size = extent / static_cast<double>(b->count);
    b->samples = samples > 0 ? full_like(b->size, static_cast<double>(samples)) : ceil(b->size);
  }
  Expr y = samples > 0 ? sampled_evenly(r, samples) : sampled_by_size(r);
  const Expr taken = r.high.samples * r.wide.samples;
  if (!r.maximum) y = y / max(taken, 1.0);
  else if (samples == 0) y = select(eq(y, kLowest), full_like(y, 0), y);
  c.out(cast(reshape(y, Shape{c.dims(1)[0], dx[1], r.high.count, r.wide.count}), c.dtype(0)));
}

// The bins of one axis of n elements, as a flag for each element: [R, bins, n].
Expr bin_members(const Expr& begin, const Expr& end, int64_t bins, int64_t n) {
  Graph& g = *begin.graph;
  const DType type = begin.dtype();
  const Expr size = max(end - begin + 1.0, 1.0) / static_cast<double>(bins);
  const Expr bin = iota(g, type, Shape{1, bins, 1}, 1), at = iota(g, type, Shape{1, 1, n}, 2);
  const Expr low = floor(bin * size) + begin, high = ceil((bin + 1.0) * size) + begin;
  return bit_and(le(low, at), lt(at, high));
}

// Inputs: x and regions [R, 5] as image, x1, y1, x2, y2. Along the width first, then the height.
void max_roi_pool(OpContext& c) {
  const Expr x = c.expr(0), regions = c.expr(1);
  const Dims dx = c.dims(0), bins = c.attr_ints("pooled_shape");
  if (dx.size() != 4 || regions.rank() != 2 || c.dims(1)[1] != 5 || bins.size() != 2 ||
      bins[0] < 1 || bins[1] < 1)
    fail("regions {} for {}", regions.type().text(), x.type().text());
  const int64_t count = c.dims(1)[0];
  const double scale = c.attr_float("spatial_scale", 1);
  const auto column = [&](int64_t k) {
    return reshape(slice_axis(widened(regions), 1, k, 1), Shape{count, 1, 1});
  };
  const auto limit = [&](int64_t k) { return round_away(column(k) * scale); };
  const Expr wide = bin_members(limit(1), limit(3), bins[1], dx[3]);
  const Expr high = bin_members(limit(2), limit(4), bins[0], dx[2]);
  const Expr images = gather(x, reshape(cast(column(0), DType::i32), Shape{count}), 0);
  const auto within = [&](const Expr& members, const Dims& dims, const Expr& values) {
    return reduce_max(select(reshape(members, Shape(dims)), values, full_like(values, kLowest)),
                      {4});
  };
  const Expr rows =  // [R, C, H, bins wide]
      within(wide, {count, 1, 1, bins[1], dx[3]}, expand_dims(images, 3));
  const Expr y =
      within(high, {count, 1, bins[0], 1, dx[2]}, expand_dims(transpose(rows, {0, 1, 3, 2}), 2));
  c.out(select(eq(y, kLowest), full_like(y, 0), y));
}

constexpr OpRow kRows[] = {
    {"MaxRoiPool", 1, max_roi_pool},
    {"RoiAlign", 10, roi_align},
};

}  // namespace

std::span<const OpRow> region_rows() { return kRows; }

}  // namespace lathe::onnx
