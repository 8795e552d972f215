#include "frontend/onnx/window.h"

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// Padding so that every stride has a position; an odd element goes to the end, or to the begin.
void pad_same(Window& w, size_t i, int64_t reach, bool lower) {
  WindowAttrs& a = w.attrs;
  const int64_t count = (w.sizes[i] + a.stride[i] - 1) / a.stride[i];
  const int64_t total = std::max<int64_t>((count - 1) * a.stride[i] + reach - w.sizes[i], 0);
  a.low[i] = lower ? total - total / 2 : total / 2;
  a.high[i] = total - a.low[i];
}

// Positions of axis i; with `ceil` the last window may reach over the end, but not begin there.
int64_t count_positions(Window& w, size_t i, int64_t reach, bool ceil) {
  WindowAttrs& a = w.attrs;
  const int64_t room = w.sizes[i] + a.low[i] + a.high[i] - reach;
  if (room < 0)
    fail("a window of {} taps does not fit axis {} of {} elements", a.kernel[i], i + 2, w.sizes[i]);
  int64_t count = room / a.stride[i] + 1;
  if (ceil && room % a.stride[i] != 0 && count * a.stride[i] < w.sizes[i] + a.low[i]) ++count;
  w.extra.push_back(std::max<int64_t>((count - 1) * a.stride[i] - room, 0));
  a.high[i] += w.extra.back();
  return count;
}

}  // namespace

Dims list_attribute(OpContext& c, std::string_view name, int64_t missing, size_t n) {
  Dims v = c.attr_ints(name, Dims(n, missing));
  if (v.size() != n) fail("attribute '{}' has {} values for {} axes", name, v.size(), n);
  return v;
}

void check_range(std::string_view name, const Dims& values, int64_t low) {
  constexpr int64_t kLimit = int64_t{1} << 20;
  for (const int64_t v : values)
    if (v < low || v >= kLimit) fail("{} {} is not in [{}, 2^20)", name, v, low);
}

Dims Window::taps() const { return range(2 + axes(), 2 + 2 * axes()); }

WindowAttrs read_steps(OpContext& c, Dims kernel) {
  const size_t n = kernel.size();
  WindowAttrs a;
  a.kernel = std::move(kernel);
  a.stride = list_attribute(c, "strides", 1, n);
  a.dilation = list_attribute(c, "dilations", 1, n);
  const Dims pads = list_attribute(c, "pads", 0, 2 * n);
  check_range("strides", a.stride, 1);
  check_range("dilations", a.dilation, 1);
  check_range("pads", pads, 0);
  a.low.assign(pads.begin(), pads.begin() + static_cast<ptrdiff_t>(n));
  a.high.assign(pads.begin() + static_cast<ptrdiff_t>(n), pads.end());
  return a;
}

std::string read_auto_pad(OpContext& c) {
  std::string mode = c.attr_text("auto_pad", "NOTSET");
  if (mode != "NOTSET" && mode != "VALID" && mode != "SAME_UPPER" && mode != "SAME_LOWER")
    fail("auto_pad is '{}'", mode);
  return mode;
}

Window read_window(OpContext& c, const Dims& input, Dims kernel) {
  if (input.size() < 3) fail("its input has {} axes, at least 3 were expected", input.size());
  Window w;
  w.sizes.assign(input.begin() + 2, input.end());
  const size_t n = w.sizes.size();
  const Dims given = c.attr_ints("kernel_shape", kernel);
  if (!kernel.empty() && given != kernel)
    fail("kernel_shape is [{}], the weights have [{}]", Shape(given).text(), Shape(kernel).text());
  if (given.size() != n) fail("kernel_shape has {} axes, the input {}", given.size(), n);
  check_range("kernel_shape", given, 1);
  WindowAttrs& a = w.attrs = read_steps(c, given);
  const std::string mode = read_auto_pad(c);
  const bool ceil = c.attr_int("ceil_mode", 0) != 0;
  for (size_t i = 0; i < n; ++i) {
    const int64_t reach = (a.kernel[i] - 1) * a.dilation[i] + 1;
    if (mode == "VALID") a.low[i] = a.high[i] = 0;
    if (mode.starts_with("SAME")) pad_same(w, i, reach, mode == "SAME_LOWER");
    w.positions.push_back(count_positions(w, i, reach, ceil));
  }
  return w;
}

namespace {

// x [N, C, ..] with its channels as [N, groups, C/groups, ..].
Expr in_groups(const Expr& x, int64_t groups) {
  Dims split = x.shape().static_dims();
  split[1] /= groups;
  split.insert(split.begin() + 1, groups);
  return reshape(x, Shape(split));
}

void check_weights(const Dims& x, const Expr& w, int64_t n, int64_t groups) {
  const Dims dw = w.shape().static_dims();
  if (std::ssize(dw) != n + 2 || groups < 1 || x[1] % groups != 0 || dw[0] % groups != 0 ||
      x[1] / groups != dw[1])
    fail("weights {} do not fit {} channels in {} groups", w.type().text(), x[1], groups);
}

// Patches [N, C, positions.., taps..], of more than one group [N, groups, C/groups, ..], times w.
// Channels are last in what the product gives, as its kernels want them; the transpose to the
// model's order sinks to where something else wants that (passes/sink_transposes.h).
Expr channels_last_product(const Expr& patches, const Expr& w, int64_t n, int64_t groups,
                           DType result) {
  const int64_t first = groups == 1 ? 1 : 2;  // axis of the channels
  Dims of_x = {first}, of_w = {first};
  for (int64_t i = 1; i <= n; ++i) of_x.push_back(first + n + i), of_w.push_back(first + i);
  Expr y;  // [N, positions.., M]
  if (groups == 1) {
    y = dot_general(patches, w, {.lhs_contract = of_x, .rhs_contract = of_w, .dtype = result});
  } else {
    const Dims dx = patches.shape().static_dims(), dw = w.shape().static_dims();
    Dims split_w = dw;
    split_w[0] /= groups;
    split_w.insert(split_w.begin(), groups);
    y = dot_general(patches, reshape(w, Shape(split_w)),
                    {.lhs_batch = {1},
                     .rhs_batch = {0},
                     .lhs_contract = of_x,
                     .rhs_contract = of_w,
                     .dtype = result});
    Dims last = range(1, n + 2);  // of [groups, N, positions.., M/groups]
    last.push_back(0);
    last.push_back(n + 2);
    Dims merged = {dx[0]};
    merged.insert(merged.end(), dx.begin() + 3, dx.begin() + 3 + n);
    merged.push_back(dw[0]);
    y = reshape(transpose(y, last), Shape(merged));
  }
  Dims perm = {0, n + 1};
  for (int64_t i = 1; i <= n; ++i) perm.push_back(i);
  return transpose(y, perm);
}

}  // namespace

// Groups are apart before the windows: a reshape of x itself costs nothing.
Expr convolve(const Expr& x, const Expr& w, const Window& window, int64_t groups, DType result) {
  check_weights(x.shape().static_dims(), w, window.axes(), groups);
  return channels_last_product(windows(groups == 1 ? x : in_groups(x, groups), window.attrs), w,
                               window.axes(), groups, result);
}

Expr convolve_patches(const Expr& patches, const Expr& w, int64_t n, int64_t groups, DType result) {
  check_weights(patches.shape().static_dims(), w, n, groups);
  return channels_last_product(groups == 1 ? patches : in_groups(patches, groups), w, n, groups,
                               result);
}

}  // namespace lathe::onnx
