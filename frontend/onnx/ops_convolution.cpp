// Convolution and pooling.
#include <algorithm>
#include <cmath>
#include <limits>

#include "frontend/onnx/row.h"
#include "frontend/onnx/window.h"

namespace lathe::onnx {
namespace {

void conv(OpContext& c) {
  const Expr x = c.expr(0), w = c.expr(1);
  if (w.rank() < 3) fail("its weights are {}", w.type().text());
  const Dims dw = c.dims(1);
  const Window window = read_window(c, c.dims(0), Dims(dw.begin() + 2, dw.end()));
  Expr y = convolve(x, w, window, c.attr_int("group", 1), x.dtype());
  if (c.has(2)) y = y + along(c.expr(2), 1, y.rank());
  c.out(y);
}

double lowest(DType t) {
  if (is_float(t)) return -std::numeric_limits<double>::infinity();
  return is_signed(t) ? -std::ldexp(1.0, static_cast<int>(8 * byte_size(t)) - 1) : 0;
}

// The flat index in x of the first largest element under each position.
Expr largest_index(OpContext& c, const Expr& x, const Expr& patches, const Expr& most,
                   const Window& w, bool column_major) {
  Graph& g = c.graph();
  Dims strides = row_major_strides(w.sizes);
  if (column_major) {
    int64_t stride = 1;
    for (size_t i = 0; i < strides.size(); ++i) strides[i] = stride, stride *= w.sizes[i];
  }
  Expr place = full(g, {DType::i64, Shape(w.sizes)}, 0);
  for (int i = 0; i < w.axes(); ++i)
    place = place + iota(g, DType::i64, Shape(w.sizes), i) *
                        static_cast<double>(strides[static_cast<size_t>(i)]);
  WindowAttrs attrs = w.attrs;
  attrs.fill = 0x1p52;
  const Expr places = broadcast_to(windows(place, attrs), patches.shape());
  const Expr found = eq(patches, keep_axes(most, w.taps()));
  const Expr first = reduce_min(select(found, places, full_like(places, 0x1p52)), w.taps());
  const double plane = static_cast<double>(element_count(w.sizes));
  const double channels = static_cast<double>(x.shape()[1].value());
  return first + (iota(g, DType::i64, first.shape(), 0) * channels +
                  iota(g, DType::i64, first.shape(), 1)) *
                     plane;
}

void max_pool(OpContext& c) {
  const Expr x = c.expr(0);
  Window w = read_window(c, c.dims(0));
  w.attrs.fill = lowest(x.dtype());
  const bool column_major = c.attr_int("storage_order", 0) != 0;
  const Expr patches = windows(x, w.attrs);
  const Expr most = reduce_max(patches, w.taps());
  c.out(most);
  if (c.wants(1)) c.out(largest_index(c, x, patches, most, w, column_major));
}

// How many multiples k * step of 0 <= k < count lie below limit.
int64_t steps_below(int64_t limit, int64_t step, int64_t count) {
  return limit <= 0 ? 0 : std::min((limit - 1) / step + 1, count);
}

// How many elements each position averages over.
Expr counts(OpContext& c, const Window& w, bool include_pad, DType type) {
  c.check_table(w.positions, "positions of windows");
  Tensor t = Tensor::empty(type, w.positions);
  for (int64_t flat = 0; flat < t.size(); ++flat) {
    int64_t rest = flat;
    double count = 1;
    for (size_t i = w.positions.size(); i-- > 0;) {
      const int64_t position = rest % w.positions[i];
      rest /= w.positions[i];
      const int64_t low = include_pad ? 0 : w.attrs.low[i];
      const int64_t high =
          w.attrs.low[i] + w.sizes[i] + (include_pad ? w.attrs.high[i] - w.extra[i] : 0);
      const int64_t begin = position * w.attrs.stride[i];
      const auto below = [&](int64_t end) {
        return steps_below(end - begin, w.attrs.dilation[i], w.attrs.kernel[i]);
      };
      count *= static_cast<double>(below(high) - below(low));
    }
    t.set(flat, count);
  }
  return constant(c.graph(), t);
}

void average_pool(OpContext& c) {
  const Expr x = c.expr(0);
  const Window w = read_window(c, c.dims(0));
  const bool include_pad = c.attr_int("count_include_pad", 0) != 0;
  const Expr sum = reduce_sum(windows(x, w.attrs), w.taps());
  bool padded = false;
  for (size_t i = 0; i < w.sizes.size(); ++i)
    padded |= w.extra[i] > 0 || (!include_pad && w.attrs.low[i] + w.attrs.high[i] > 0);
  if (padded) c.out(sum / counts(c, w, include_pad, x.dtype()));
  else c.out(sum / static_cast<double>(element_count(w.attrs.kernel)));
}

// The p-norm; p is an integer from version 2 on.
Expr norm(const Expr& powers, double p) {
  if (p == 1) return powers;
  return p == 2 ? sqrt(powers) : pow(powers, full_like(powers, 1 / p));
}
Expr powers(const Expr& x, double p) {
  if (p == 1) return abs(x);
  return p == 2 ? x * x : pow(abs(x), full_like(x, p));
}
double norm_order(OpContext& c) {
  return c.version() < 2 ? c.attr_float("p", 2) : static_cast<double>(c.attr_int("p", 2));
}

void lp_pool(OpContext& c) {
  const Expr x = c.expr(0);
  const Window w = read_window(c, c.dims(0));
  const double p = norm_order(c);
  c.out(norm(reduce_sum(windows(powers(x, p), w.attrs), w.taps()), p));
}

Dims spatial(const Expr& x) {
  if (x.rank() < 3) fail("its input is {}, at least 3 axes were expected", x.type().text());
  return range(2, x.rank());
}

void global_lp_pool(OpContext& c) {
  const Expr x = c.expr(0);
  const double p = norm_order(c);
  c.out(norm(keep_axes(reduce_sum(powers(x, p), spatial(x)), spatial(x)), p));
}

Expr global_average(const Expr& x) { return keep_axes(reduce_mean(x, spatial(x)), spatial(x)); }
Expr global_max(const Expr& x) { return keep_axes(reduce_max(x, spatial(x)), spatial(x)); }

constexpr OpRow kRows[] = {
    {"AveragePool", 1, average_pool},
    {"Conv", 1, conv},
    {"GlobalAveragePool", 1, unary<global_average>},
    {"GlobalLpPool", 1, global_lp_pool},
    {"GlobalMaxPool", 1, unary<global_max>},
    {"LpPool", 1, lp_pool},
    {"MaxPool", 1, max_pool},
};

}  // namespace

std::span<const OpRow> convolution_rows() { return kRows; }

}  // namespace lathe::onnx
