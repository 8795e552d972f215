// Convolution and pooling: windows of the spatial axes, contracted or reduced.
#include <limits>

#include "frontend/nn.h"

namespace lathe::nn {
namespace {

using Pair = std::array<int64_t, 2>;

Expr channels_first(const Expr& x, Layout layout) {
  return layout == Layout::ChannelsFirst ? x : transpose(x, {0, 3, 1, 2});
}

void check_image(const Expr& x, const std::string& layer) {
  if (x.rank() != 4)
    fail("layer '{}': the input is {}, a batch of images with 4 axes was expected", layer,
         x.type().text());
}

// Low and high padding of one axis. With stride 1 it does not depend on the size, so that may be
// free.
std::pair<int64_t, int64_t> padding_of(Padding padding, const Dim& size, int64_t window,
                                       int64_t stride, const std::string& layer) {
  if (padding == Padding::Valid) return {0, 0};
  int64_t total = window - 1;
  if (stride > 1) {
    if (!size.is_static())
      fail_unsupported("layer '{}': 'same' padding with stride {} needs a fixed size, not {}",
                       layer, stride, size.text());
    const int64_t positions = (size.value() + stride - 1) / stride;
    total = std::max<int64_t>((positions - 1) * stride + window - size.value(), 0);
  }
  return {total / 2, total - total / 2};
}

// Windows over the last two axes of x [.., height, width].
WindowAttrs window_attrs(const Expr& x, Pair kernel, Pair strides, Pair dilation, Padding padding,
                         const std::string& layer) {
  constexpr int64_t kLimit = int64_t{1} << 20;
  for (const int64_t v : {kernel[0], kernel[1], strides[0], strides[1], dilation[0], dilation[1]})
    if (v < 1 || v >= kLimit)
      fail("layer '{}': window sizes, strides and dilations must be in [1, 2^20), not {}", layer,
           v);
  WindowAttrs a;
  a.kernel = {kernel[0], kernel[1]};
  a.stride = {strides[0], strides[1]};
  a.dilation = {dilation[0], dilation[1]};
  for (size_t i = 0; i < 2; ++i) {
    const int64_t reach = (kernel[i] - 1) * dilation[i] + 1;
    const Dim size = x.shape()[x.rank() - 2 + static_cast<int>(i)];
    const auto [low, high] = padding_of(padding, size, reach, strides[i], layer);
    a.low.push_back(low);
    a.high.push_back(high);
  }
  return a;
}

// x with its channels apart by groups, last but for the two spatial axes: [N,G,C/G,H,W]. The split
// comes first: a reshape of x itself costs nothing.
Expr grouped_channels(const Expr& x, Layout layout, int64_t groups) {
  std::vector<Dim> split = x.shape().dims();
  const int64_t axis = layout == Layout::ChannelsFirst ? 1 : 3;
  split[static_cast<size_t>(axis)] = split[static_cast<size_t>(axis)].value() / groups;
  split.insert(split.begin() + axis, Dim(groups));
  const Expr y = reshape(x, Shape(split));
  return layout == Layout::ChannelsFirst ? y : transpose(y, {0, 3, 4, 1, 2});
}

// Patches [N,C,H,W,h,w] with kernel [h,w,C,F] give [N,H,W,F].
Expr contract(const Expr& patches, const Expr& kernel) {
  return dot_general(
      patches, kernel,
      {.lhs_contract = {1, 4, 5}, .rhs_contract = {2, 0, 1}, .dtype = kernel.dtype()});
}

// Patches [N,G,C/G,H,W,h,w] with kernel [h,w,C/G,F] give [N,H,W,G,F/G].
Expr contract_groups(const Expr& patches, const Expr& kernel, int64_t groups) {
  std::vector<Dim> split = kernel.shape().dims();
  split[3] = split[3].value() / groups;
  split.insert(split.begin() + 3, Dim(groups));
  const Expr y = dot_general(patches, reshape(kernel, Shape(split)),
                             {.lhs_batch = {1},
                              .rhs_batch = {3},
                              .lhs_contract = {2, 5, 6},
                              .rhs_contract = {2, 0, 1},
                              .dtype = kernel.dtype()});
  return transpose(y, {1, 2, 3, 0, 4});  // from [G,N,H,W,F/G]
}

// [N,H,W,G,F/G] to [N,H,W,F].
Expr merge_groups(const Expr& y, int64_t filters) {
  std::vector<Dim> merged(y.shape().begin(), y.shape().begin() + 3);
  merged.emplace_back(filters);
  return reshape(y, Shape(std::move(merged)));
}

}  // namespace

Expr Network::conv2d(const Expr& x, int64_t filters, Pair kernel_size, const ConvOptions& o) {
  const Scope scope(*this, "conv2d", o.name);
  const std::string& layer = scope.name();
  check_image(x, layer);
  const Expr image = channels_first(x, o.layout);
  if (!image.shape()[1].is_static())
    fail("layer '{}': the number of channels of {} must be fixed", layer, x.type().text());
  const int64_t channels = image.shape()[1].value();
  if (o.groups < 1 || filters < 1 || channels % o.groups != 0 || filters % o.groups != 0)
    fail("layer '{}': {} channels and {} filters are not divisible by {} groups", layer, channels,
         filters, o.groups);
  const WindowAttrs window =
      window_attrs(image, kernel_size, o.strides, o.dilation, o.padding, layer);
  const Expr kernel =
      parameter(layer, "kernel", {kernel_size[0], kernel_size[1], channels / o.groups, filters},
                o.kernel, o.trainable);
  const bool grouped = o.groups > 1;
  Expr y = grouped ? contract_groups(windows(grouped_channels(x, o.layout, o.groups), window),
                                     kernel, o.groups)
                   : contract(windows(image, window), kernel);
  // Bias and activation act on the groups apart, in the kernel of the products.
  if (o.use_bias) {
    const Expr bias = parameter(layer, "bias", {filters}, o.bias, o.trainable);
    y = y + (grouped ? lathe::reshape(bias, Shape{o.groups, filters / o.groups}) : bias);
  }
  y = activate(o.activation, y);
  if (grouped) y = merge_groups(y, filters);
  return o.layout == Layout::ChannelsFirst ? transpose(y, {0, 3, 1, 2}) : y;
}

Expr Network::pool(const Expr& x, const PoolOptions& o, bool average, const std::string& layer) {
  check_image(x, layer);
  const Expr image = channels_first(x, o.layout);
  const Pair strides = {o.strides[0] == 0 ? o.size[0] : o.strides[0],
                        o.strides[1] == 0 ? o.size[1] : o.strides[1]};
  WindowAttrs window = window_attrs(image, o.size, strides, {1, 1}, o.padding, layer);
  Expr y;
  if (average) {
    y = reduce_sum(windows(image, window), {4, 5});
    const Shape plane{image.shape()[2], image.shape()[3]};
    y = y / reduce_sum(windows(full(graph_, {x.dtype(), plane}, 1), window), {2, 3});
  } else {
    window.fill = -std::numeric_limits<double>::infinity();
    y = reduce_max(windows(image, window), {4, 5});
  }
  return o.layout == Layout::ChannelsFirst ? y : transpose(y, {0, 2, 3, 1});
}

Expr Network::max_pooling_2d(const Expr& x, const PoolOptions& o) {
  const Scope scope(*this, "max_pooling2d", o.name);
  return pool(x, o, false, scope.name());
}

Expr Network::average_pooling_2d(const Expr& x, const PoolOptions& o) {
  const Scope scope(*this, "average_pooling2d", o.name);
  return pool(x, o, true, scope.name());
}

namespace {

// The axes between batch and channels.
Dims spatial_axes(const Expr& x, Layout layout, const std::string& layer) {
  if (x.rank() < 3)
    fail("layer '{}': the input is {}, axes between batch and channels were expected", layer,
         x.type().text());
  Dims axes;
  const int first = layout == Layout::ChannelsFirst ? 2 : 1;
  for (int i = 0; i < x.rank() - 2; ++i) axes.push_back(first + i);
  return axes;
}

}  // namespace

Expr Network::global_max_pooling(const Expr& x, const GlobalPoolOptions& o) {
  const Scope scope(*this, "global_max_pooling", o.name);
  const Dims axes = spatial_axes(x, o.layout, scope.name());
  const Expr y = reduce_max(x, axes);
  return o.keep_dims ? keep_axes(y, axes) : y;
}

Expr Network::global_average_pooling(const Expr& x, const GlobalPoolOptions& o) {
  const Scope scope(*this, "global_average_pooling", o.name);
  const Dims axes = spatial_axes(x, o.layout, scope.name());
  const Expr steps = mask(x);
  Expr y;
  if (steps.defined() && x.rank() == 3 && o.layout == Layout::ChannelsLast) {
    const Expr weights = expand_dims(cast(steps, x.dtype()), 2);
    y = reduce_sum(x * weights, {1}) / reduce_sum(weights, {1});
  } else {
    y = reduce_mean(x, axes);
  }
  return o.keep_dims ? keep_axes(y, axes) : y;
}

}  // namespace lathe::nn
