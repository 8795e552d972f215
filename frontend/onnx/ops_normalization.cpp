// Normalisation.
#include <cmath>

#include "frontend/onnx/formulas.h"
#include "frontend/onnx/row.h"
#include "ir/axes.h"

namespace lathe::onnx {
namespace {

// Every axis but the channels'.
Dims all_but_channels(int rank) {
  Dims axes = range(0, rank);
  axes.erase(axes.begin() + 1);
  return axes;
}

void batch_norm(OpContext& c) {
  c.ignore({"consumed_inputs", "spatial"});
  const Expr x = c.expr(0);
  const double epsilon = c.attr_float("epsilon", 1e-5);
  const double momentum = c.attr_float("momentum", 0.9);
  const bool training = c.version() >= 14
                            ? c.attr_int("training_mode", 0) != 0
                            : c.version() < 7 && c.attr_int("is_test", 0) == 0 && c.wants(1);
  const int64_t rank = x.rank(), channel = rank > 1 ? 1 : 0;
  if (rank < 1 || (training && rank < 2)) fail("its input is {}", x.type().text());
  const auto list = [&](const Expr& e) {
    const Expr typed = cast(e, x.dtype());
    return typed.rank() == 1 ? along(typed, channel, rank) : typed;
  };
  const Expr scale = list(c.expr(1)), shift = list(c.expr(2));
  Expr mean = list(c.expr(3)), variance = list(c.expr(4));
  if (training) {
    const Moments m = moments(x, all_but_channels(x.rank()));
    mean = m.mean, variance = m.variance;
  }
  c.out((x - mean) * (scale / sqrt(variance + epsilon)) + shift);
  if (!training) return;
  const auto running = [&](int input, const Expr& now) {
    const Expr old = c.expr(input);
    return old * momentum + cast(reshape(now, old.shape()), old.dtype()) * (1 - momentum);
  };
  if (c.wants(1)) c.out(1, running(3, mean));
  if (c.wants(2)) c.out(2, running(4, variance));
}

void instance_norm(OpContext& c) {
  c.ignore({"consumed_inputs"});
  const Expr x = c.expr(0);
  const double epsilon = c.attr_float("epsilon", 1e-5);
  if (x.rank() < 2) fail("its input is {}, channels were expected", x.type().text());
  const auto [mean, variance] = moments(x, range(2, x.rank()));
  const Expr scale = along(c.expr(1), 1, x.rank()), shift = along(c.expr(2), 1, x.rank());
  c.out((x - mean) / sqrt(variance + epsilon) * scale + shift);
}

// Over the axes from `axis` on; statistics in float.
void layer_norm(OpContext& c) {
  const Expr x = c.expr(0);
  const int64_t axis = c.axis(c.attr_int("axis", -1), x.rank());
  const double epsilon = c.attr_float("epsilon", 1e-5);
  const bool in_float = c.attr_int("stash_type", 1) == 1;
  const Expr wide = in_float ? widened(x) : x;
  const auto [standard, mean, inverse] = standardised(wide, range(axis, x.rank()), epsilon);
  Expr y = cast(standard, x.dtype()) * c.expr(1);
  if (c.has(2)) y = y + c.expr(2);
  c.out(y);
  if (c.wants(1)) c.out(1, mean);
  if (c.wants(2)) c.out(2, inverse);
}

void rms_norm(OpContext& c) {
  const Expr x = c.expr(0);
  const int64_t axis = c.axis(c.attr_int("axis", -1), x.rank());
  const double epsilon = c.attr_float("epsilon", 1e-5);
  const Expr wide = c.attr_int("stash_type", 1) == 1 ? widened(x) : x;
  const Dims axes = range(axis, x.rank());
  const Expr square = keep_axes(reduce_mean(wide * wide, axes), axes);
  c.out(cast(wide / sqrt(square + epsilon), x.dtype()) * c.expr(1));
}

// Channels in groups; scale and shift are one for each group before version 21.
void group_norm(OpContext& c) {
  const Expr x = c.expr(0);
  const int64_t groups = c.attr_int("num_groups");
  const double epsilon = c.attr_float("epsilon", 1e-5);
  const Dims dims = c.dims(0);
  if (dims.size() < 2 || groups < 1 || dims[1] % groups != 0)
    fail("{} does not split into {} groups", x.type().text(), groups);
  const bool in_float = c.version() < 21 || c.attr_int("stash_type", 1) == 1;
  const Expr wide = in_float ? widened(x) : x;
  Dims split = dims;
  split[1] /= groups;
  split.insert(split.begin() + 1, groups);
  const Expr parts = reshape(wide, Shape(split));
  const auto [mean, variance] = moments(parts, range(2, parts.rank()));
  Expr y = cast((parts - mean) / sqrt(variance + epsilon), x.dtype());
  if (c.version() < 21) {
    y = y * along(c.expr(1), 1, y.rank()) + along(c.expr(2), 1, y.rank());
    c.out(reshape(y, x.shape()));
    return;
  }
  y = reshape(y, x.shape());
  c.out(y * along(c.expr(1), 1, y.rank()) + along(c.expr(2), 1, y.rank()));
}

void mean_variance_norm(OpContext& c) {
  const Expr x = c.expr(0);
  const Dims axes = c.axes(c.attr_ints("axes", {0, 2, 3}), x.rank());
  const auto [mean, variance] = moments(x, axes);
  c.out((x - mean) / (sqrt(variance) + 1e-9));
}

void lp_norm(OpContext& c) {
  const Expr x = c.expr(0);
  const Dims axis = {c.axis(c.attr_int("axis", -1), x.rank())};
  const Expr sum =
      c.attr_int("p", 2) == 1 ? reduce_sum(abs(x), axis) : sqrt(reduce_sum(x * x, axis));
  const Expr norm = keep_axes(sum, axis), zero = full_like(norm, 0);
  c.out(select(eq(norm, zero), zero, x / norm));
}

// Squares summed over a window of channels.
void lrn(OpContext& c) {
  const Expr x = c.expr(0);
  const int64_t size = c.attr_int("size");
  const double alpha = c.attr_float("alpha", 1e-4), beta = c.attr_float("beta", 0.75);
  const double bias = c.attr_float("bias", 1);
  const int64_t rank = x.rank();
  if (rank < 2 || size < 1) fail("size {} over the channels of {}", size, x.type().text());
  // Windows slide over the last axis, so channels go there and back.
  Dims perm = range(0, rank);
  perm.erase(perm.begin() + 1);
  perm.push_back(1);
  const Dims back = inverse_perm(perm);
  const Expr square = transpose(x * x, perm);
  const WindowAttrs attrs{{size}, {1}, {1}, {(size - 1) / 2}, {size / 2}};
  const Expr sum = transpose(reduce_sum(windows(square, attrs), {rank}), back);
  const Expr base = sum * (alpha / static_cast<double>(size)) + bias;
  c.out(x / pow(base, full_like(base, beta)));
}

constexpr OpRow kRows[] = {
    {"BatchNormalization", 1, batch_norm},
    {"GroupNormalization", 18, group_norm},
    {"InstanceNormalization", 1, instance_norm},
    {"LRN", 1, lrn},
    {"LayerNormalization", 17, layer_norm},
    {"LpNormalization", 1, lp_norm},
    {"MeanVarianceNormalization", 9, mean_variance_norm},
    {"RMSNormalization", 23, rms_norm},
};

}  // namespace

std::span<const OpRow> normalization_rows() { return kRows; }

}  // namespace lathe::onnx
