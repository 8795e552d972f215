// Normalisation by statistics of the batch or of each row.
#include "frontend/nn.h"

namespace lathe::nn {
namespace {

// [n] as [1, .., n, .., 1] with n at `axis` of `rank`.
Expr along(const Expr& v, int64_t axis, int rank) {
  std::vector<Dim> dims(static_cast<size_t>(rank), Dim(1));
  dims[static_cast<size_t>(axis)] = v.shape()[0];
  return reshape(v, Shape(std::move(dims)));
}

int64_t fixed_features(const Expr& x, int64_t axis, const std::string& layer) {
  const Dim& d = x.shape()[static_cast<int>(axis)];
  if (!d.is_static())
    fail("layer '{}': axis {} of {} is normalised and must be fixed", layer, axis, x.type().text());
  return d.value();
}

}  // namespace

Expr Network::batch_normalization(const Expr& x, const BatchNormalizationOptions& o) {
  const Scope scope(*this, "batch_normalization", o.name);
  const std::string& layer = scope.name();
  const int64_t axis = o.axis < 0 ? o.axis + x.rank() : o.axis;
  if (axis < 1 || axis >= x.rank())
    fail("layer '{}': axis {} of {} cannot be normalised", layer, o.axis, x.type().text());
  const Dims dims = {fixed_features(x, axis, layer)};
  Expr gamma, beta;
  if (o.scale) gamma = parameter(layer, "gamma", dims, o.gamma, o.trainable);
  if (o.center) beta = parameter(layer, "beta", dims, o.beta, o.trainable);
  Expr mean = state(layer, "moving_mean", dims, o.moving_mean);
  Expr variance = state(layer, "moving_variance", dims, o.moving_variance);
  if (mode_ == Mode::Training && o.trainable) {
    if (mask(x).defined())
      fail_unsupported("layer '{}': training BatchNormalization on a masked input", layer);
    Dims others;
    for (int i = 0; i < x.rank(); ++i)
      if (i != axis) others.push_back(i);
    const Expr moving_mean = mean, moving_variance = variance;
    mean = reduce_mean(x, others);
    const Expr centred = x - along(mean, axis, x.rank());
    variance = reduce_mean(centred * centred, others);
    update(layer + "/moving_mean", moving_mean * o.momentum + mean * (1 - o.momentum));
    update(layer + "/moving_variance", moving_variance * o.momentum + variance * (1 - o.momentum));
  }
  Expr factor = 1.0 / sqrt(variance + o.epsilon);
  if (o.scale) factor = factor * gamma;
  Expr offset = neg(mean * factor);
  if (o.center) offset = offset + beta;
  return carry_mask(x, x * along(factor, axis, x.rank()) + along(offset, axis, x.rank()));
}

Expr Network::layer_normalization(const Expr& x, const LayerNormalizationOptions& o) {
  const Scope scope(*this, "layer_normalization", o.name);
  const std::string& layer = scope.name();
  if (x.rank() < 2)
    fail("layer '{}': the input is {}, [batch, .., features] was expected", layer, x.type().text());
  const int64_t axis = x.rank() - 1;
  const Dims dims = {fixed_features(x, axis, layer)};
  const Expr centred = x - keep_axes(reduce_mean(x, {axis}), {axis});
  const Expr variance = keep_axes(reduce_mean(centred * centred, {axis}), {axis});
  Expr y = centred / sqrt(variance + o.epsilon);
  if (o.scale) y = y * parameter(layer, "gamma", dims, o.gamma, o.trainable);
  if (o.center) y = y + parameter(layer, "beta", dims, o.beta, o.trainable);
  return carry_mask(x, y);
}

}  // namespace lathe::nn
