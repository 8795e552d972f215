// Reading tensors at places that are computed: what GridSample, DeformConv and RoiAlign share.
#pragma once

#include <functional>

#include "ir/expr.h"

namespace lathe::onnx {

// Elements of x [N, C, S..] at indices of the axes S. With `groups`, channel c reads at the indices
// of group c / (C / groups).
class Sampler {
 public:
  // `images`, where given: [R, 1, ..], which of the N images each of R results reads.
  Sampler(const Expr& x, int64_t groups, const Shape& places, const Expr& images = {});

  // Indices as [N or R, groups, 1, places..], i32, one for each axis S; those outside are moved to
  // the border. The result is [N or R, groups, C / groups, places..].
  Expr at(const std::vector<Expr>& indices) const;
  // The same with 0 outside.
  Expr at_or_zero(const std::vector<Expr>& indices) const;

 private:
  Expr flat_, base_;
  Dims sizes_, strides_;
};

// Sums over taps of several axes: fn gets a tap's index for each axis.
using TapValue = std::function<Expr(const std::vector<Expr>& indices)>;
struct AxisTaps {
  std::vector<Expr> indices, weights;
};
Expr weighted_sum(const std::vector<AxisTaps>& axes, const TapValue& value);

// Floor and floor + 1 with their weights in linear interpolation.
AxisTaps linear_taps(const Expr& x);
// The four neighbours with their weights in cubic interpolation, A = -0.75.
AxisTaps cubic_taps(const Expr& x);

// To whole numbers, halves away from zero.
Expr round_away(const Expr& x);

}  // namespace lathe::onnx
