#include "frontend/onnx/sample.h"

#include "frontend/onnx/row.h"

namespace lathe::onnx {

Sampler::Sampler(const Expr& x, int64_t groups, const Shape& places, const Expr& images) {
  Graph& g = *x.graph;
  const Dims dx = x.shape().static_dims();
  if (groups < 1 || dx[1] % groups != 0) fail("{} channels in {} groups", dx[1], groups);
  if (element_count(dx) >= int64_t{1} << 31) fail_unsupported("samples of {}", x.type().text());
  sizes_.assign(dx.begin() + 2, dx.end());
  strides_ = row_major_strides(sizes_);
  flat_ = reshape(x, Shape{element_count(dx)});
  Dims dims = {images.defined() ? images.shape()[0].value() : dx[0], groups, dx[1] / groups};
  for (const Dim& d : places) dims.push_back(d.value());
  Dims of_channels(dims.size(), 1), of_images(dims.size(), 1);
  of_channels[1] = dims[1], of_channels[2] = dims[2];
  of_images[0] = dims[0];
  const auto plane = static_cast<double>(element_count(sizes_));
  const Expr channel = reshape(iota(g, DType::i32, Shape{dx[1]}, 0), Shape(of_channels));
  const Expr image = images.defined() ? reshape(cast(images, DType::i32), Shape(of_images))
                                      : iota(g, DType::i32, Shape(of_images), 0);
  base_ = broadcast_to(image * (plane * static_cast<double>(dx[1])) + channel * plane, Shape(dims));
}

Expr Sampler::at(const std::vector<Expr>& indices) const {
  Expr place;
  for (size_t i = 0; i < sizes_.size(); ++i) {
    const Expr inside = max(min(indices[i], static_cast<double>(sizes_[i] - 1)), 0.0);
    const Expr step = inside * static_cast<double>(strides_[i]);
    place = place.defined() ? place + step : step;
  }
  return gather(flat_, base_ + place, 0);
}

Expr Sampler::at_or_zero(const std::vector<Expr>& indices) const {
  Expr inside;
  for (size_t i = 0; i < sizes_.size(); ++i) {
    const Expr low = ge(indices[i], full_like(indices[i], 0));
    const Expr here = bit_and(low, lt(indices[i], static_cast<double>(sizes_[i])));
    inside = inside.defined() ? bit_and(inside, here) : here;
  }
  const Expr value = at(indices);
  return select(inside, value, full_like(value, 0));
}

namespace {

Expr sum_from(const std::vector<AxisTaps>& axes, size_t axis, std::vector<Expr>& indices,
              const TapValue& value) {
  if (axis == axes.size()) return value(indices);
  Expr sum;
  for (size_t k = 0; k < axes[axis].indices.size(); ++k) {
    indices.push_back(axes[axis].indices[k]);
    const Expr term = sum_from(axes, axis + 1, indices, value) * axes[axis].weights[k];
    indices.pop_back();
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

}  // namespace

Expr weighted_sum(const std::vector<AxisTaps>& axes, const TapValue& value) {
  std::vector<Expr> indices;
  return sum_from(axes, 0, indices, value);
}

AxisTaps linear_taps(const Expr& x) {
  const Expr below = floor(x), part = x - below, first = cast(below, DType::i32);
  return {{first, first + 1.0}, {1.0 - part, part}};
}

AxisTaps cubic_taps(const Expr& x) {
  constexpr double kA = -0.75;
  const Expr below = floor(x), t = x - below, first = cast(below, DType::i32);
  const auto near = [](const Expr& d) {  // at a distance up to 1
    return (d * (kA + 2) - (kA + 3)) * d * d + 1.0;
  };
  const auto far = [](const Expr& d) {  // from 1 to 2
    return ((d * kA - 5 * kA) * d + 8 * kA) * d - 4 * kA;
  };
  return {{first - 1.0, first, first + 1.0, first + 2.0},
          {far(t + 1.0), near(t), near(1.0 - t), far(2.0 - t)}};
}

Expr round_away(const Expr& x) {
  const Expr size = floor(abs(x) + 0.5);
  return select(lt(x, 0), -size, size);
}

}  // namespace lathe::onnx
