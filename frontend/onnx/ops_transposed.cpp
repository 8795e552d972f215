// Transposes of windows: sums of what overlapping windows hold, and elements put back to where a
// pooling found them.
#include <algorithm>
#include <utility>

#include "frontend/onnx/row.h"
#include "frontend/onnx/window.h"

namespace lathe::onnx {
namespace {

// How many elements a window reaches over.
int64_t reach(const WindowAttrs& a, size_t i) { return (a.kernel[i] - 1) * a.dilation[i] + 1; }

// Of an axis, so that what windows reach over can be counted.
constexpr int64_t kMostElements = int64_t{1} << 40;

struct Transposed {
  WindowAttrs attrs;  // of fold
  Dims size;          // of the result
};

// Where `size` elements are kept of those that all windows of axis i reach over, after `low`.
void place(Transposed& t, size_t i, int64_t positions, int64_t low, int64_t size) {
  if (size < 1 || size >= kMostElements) fail("axis {} of the result has {} elements", i + 2, size);
  WindowAttrs& a = t.attrs;
  a.low.push_back(low);
  a.high.push_back((positions - 1) * a.stride[i] + reach(a, i) - size - low);
  a.size.emplace_back(size);
  t.size.push_back(size);
}

// Padding that a result of a given size implies.
int64_t implied_low(const WindowAttrs& a, size_t i, int64_t positions, int64_t extra, int64_t size,
                    const std::string& mode) {
  const int64_t total =
      std::max<int64_t>((positions - 1) * a.stride[i] + extra + reach(a, i) - size, 0);
  return mode == "SAME_UPPER" ? total / 2 : total - total / 2;
}

Transposed read_transposed(OpContext& c, const Dims& input, const Dims& kernel) {
  const size_t n = kernel.size();
  const Dims given = c.attr_ints("kernel_shape", kernel);
  if (given != kernel)
    fail("kernel_shape is [{}], the weights have [{}]", Shape(given).text(), Shape(kernel).text());
  Transposed t;
  WindowAttrs& a = t.attrs = read_steps(c, kernel);
  // What the model takes off the ends; place() decides what is.
  const Dims first = std::exchange(a.low, {}), last = std::exchange(a.high, {});
  const Dims extra = list_attribute(c, "output_padding", 0, n);
  check_range("output_padding", extra, 0);
  const std::string mode = read_auto_pad(c);
  Dims sizes = c.attr_ints("output_shape");
  if (sizes.size() == n + 2) sizes.erase(sizes.begin(), sizes.begin() + 2);
  if (!sizes.empty() && sizes.size() != n)
    fail("attribute 'output_shape' has {} values for {} axes", sizes.size(), n);
  const bool padded = mode == "NOTSET";
  for (size_t i = 0; i < n; ++i) {
    const int64_t positions = input[i + 2];
    if (positions >= kMostElements) fail("axis {} has {} elements", i + 2, positions);
    const int64_t low = padded ? first[i] : 0, high = padded ? last[i] : 0;
    int64_t size = (positions - 1) * a.stride[i] + extra[i] + reach(a, i) - low - high;
    if (mode.starts_with("SAME")) size = positions * a.stride[i];
    if (!sizes.empty()) size = sizes[i];
    const bool implied = !sizes.empty() || mode.starts_with("SAME");
    place(t, i, positions, implied ? implied_low(a, i, positions, extra[i], size, mode) : low,
          size);
  }
  return t;
}

// x [N, C, positions..] and w [C, M/groups, taps..]: what each position gives to each tap,
// [N, M, positions.., taps..].
Expr contributions(const Expr& x, const Expr& w, int64_t groups) {
  const Dims dx = x.shape().static_dims(), dw = w.shape().static_dims();
  const auto n = std::ssize(dx) - 2;
  if (groups < 1 || groups > std::max<int64_t>(dx[1], 1) || dx[1] != dw[0] || dx[1] % groups != 0)
    fail("weights {} do not fit {} in {} groups", w.type().text(), x.type().text(), groups);
  Dims split_x = dx, split_w = dw;
  split_x[1] /= groups;
  split_x.insert(split_x.begin() + 1, groups);
  split_w[0] /= groups;
  split_w.insert(split_w.begin(), groups);
  // [groups, M/groups, taps.., N, positions..]
  const Expr y = dot_general(reshape(w, Shape(split_w)), reshape(x, Shape(split_x)),
                             {.lhs_batch = {0},
                              .rhs_batch = {1},
                              .lhs_contract = {1},
                              .rhs_contract = {2},
                              .dtype = x.dtype()});
  Dims perm = {2 + n, 0, 1}, merged = {dx[0], groups * dw[1]};
  for (int64_t i = 0; i < n; ++i) perm.push_back(3 + n + i);
  for (int64_t i = 0; i < n; ++i) perm.push_back(2 + i);
  merged.insert(merged.end(), dx.begin() + 2, dx.end());
  merged.insert(merged.end(), dw.begin() + 2, dw.end());
  return reshape(transpose(y, perm), Shape(merged));
}

void conv_transpose(OpContext& c) {
  const Expr x = c.expr(0), w = c.expr(1);
  const Dims dx = c.dims(0), dw = c.dims(1);
  if (dx.size() < 3 || dw.size() != dx.size())
    fail("its input is {}, its weights are {}", x.type().text(), w.type().text());
  const Transposed t = read_transposed(c, dx, Dims(dw.begin() + 2, dw.end()));
  Expr y = fold(contributions(x, w, c.attr_int("group", 1)), t.attrs);
  if (c.has(2)) y = y + along(c.expr(2), 1, y.rank());
  c.out(y);
}

// Inputs: [N, C * taps, positions], the sizes of an image and of a block.
void col2im(OpContext& c) {
  c.need({1, 2});
  const Dims size = c.ints(1), block = c.ints(2), dx = c.dims(0);
  const size_t n = size.size();
  if (n == 0 || block.size() != n) fail("blocks of {} axes for {} axes", block.size(), n);
  check_range("block_shape", block, 1);
  WindowAttrs a = read_steps(c, block);
  const int64_t taps = element_count(block);
  if (dx.size() != 3 || dx[1] % taps != 0)
    fail("its input is {}, three axes were expected, the second of blocks of {}",
         c.input(0).signature(), taps);
  Dims split = {dx[0], dx[1] / taps};
  split.insert(split.end(), block.begin(), block.end());
  for (size_t i = 0; i < n; ++i) {
    if (size[i] < 1 || size[i] >= kMostElements) fail("an image of [{}]", Shape(size).text());
    const int64_t room = size[i] + a.low[i] + a.high[i] - reach(a, i);
    split.push_back(room < 0 ? 0 : room / a.stride[i] + 1);
    a.size.emplace_back(size[i]);
  }
  const int64_t count = element_count(Dims(split.end() - static_cast<ptrdiff_t>(n), split.end()));
  if (count != dx[2]) fail("{} blocks for an image of {}", dx[2], count);
  Dims perm = {0, 1};
  for (size_t i = 0; i < n; ++i) perm.push_back(static_cast<int64_t>(2 + n + i));
  for (size_t i = 0; i < n; ++i) perm.push_back(static_cast<int64_t>(2 + i));
  c.out(fold(transpose(reshape(c.expr(0), Shape(split)), perm), a), c.elem(0));
}

// Indices count the elements of the tensor that was pooled. Where windows overlapped, an element
// is there several times, each time the same.
void max_unpool(OpContext& c) {
  const Expr x = c.expr(0);
  const Dims dx = c.dims(0), kernel = c.attr_ints("kernel_shape");
  const size_t n = kernel.size();
  if (dx.size() != n + 2 || c.dims(1) != dx)
    fail("its inputs are {} and {}, the kernel has {} axes", c.input(0).signature(),
         c.input(1).signature(), n);
  const Dims strides = list_attribute(c, "strides", 1, n),
             pads = list_attribute(c, "pads", 0, 2 * n);
  check_range("kernel_shape", kernel, 1);
  check_range("strides", strides, 1);
  check_range("pads", pads, 0);
  Dims pooled = {dx[0], dx[1]};
  for (size_t i = 0; i < n; ++i) {
    if (dx[i + 2] >= kMostElements) fail("axis {} has {} elements", i + 2, dx[i + 2]);
    pooled.push_back((dx[i + 2] - 1) * strides[i] + kernel[i] - pads[i] - pads[n + i]);
    if (pooled.back() < 1) fail("axis {} of the result has {} elements", i + 2, pooled.back());
  }
  Graph& g = c.graph();
  const Shape flat{element_count(pooled)};
  const Expr at = reshape(cast(c.expr(1), DType::i64), Shape{element_count(dx)});
  const Expr sum = scatter_add(full(g, {x.dtype(), flat}, 0), at, reshape(x, at.shape()), 0);
  const Expr times =
      scatter_add(full(g, {x.dtype(), flat}, 0), at, full(g, {x.dtype(), at.shape()}, 1), 0);
  Expr y = reshape(sum / max(times, 1.0), Shape(pooled));
  if (c.has(2)) {
    const Dims size = c.ints(2);
    if (size.size() != pooled.size()) fail("output_shape has {} values", size.size());
    std::vector<Dim> high;
    for (size_t i = 0; i < size.size(); ++i) {
      if (size[i] < 0) fail("output_shape is [{}]", Shape(size).text());
      high.emplace_back(size[i] - pooled[i]);
    }
    y = pad(y, 0, std::vector<Dim>(size.size(), 0), high, Dims(size.size(), 0));
  }
  c.out(y);
}

constexpr OpRow kRows[] = {
    {"Col2Im", 18, col2im},
    {"ConvTranspose", 1, conv_transpose},
    {"MaxUnpool", 9, max_unpool},
};

}  // namespace

std::span<const OpRow> transposed_rows() { return kRows; }

}  // namespace lathe::onnx
