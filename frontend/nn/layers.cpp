// Layers without time or space: embedding, dense, dropout, shapes and merges.
#include <algorithm>

#include "frontend/nn.h"

namespace lathe::nn {
namespace {

int64_t normalized_axis(int64_t axis, int rank, const std::string& layer) {
  if (axis < -rank || axis >= rank)
    fail("layer '{}': axis {} is outside an input of rank {}", layer, axis, rank);
  return axis < 0 ? axis + rank : axis;
}

// True for the steps that all masks call real; undefined masks call all real.
Expr both(const Expr& a, const Expr& b) {
  if (!a.defined()) return b;
  return b.defined() ? bit_and(a, b) : a;
}

void check_same_rank(const std::vector<Expr>& parts, const std::string& layer) {
  if (parts.empty()) fail("layer '{}' has no inputs", layer);
  for (const Expr& part : parts)
    if (part.rank() != parts[0].rank())
      fail("layer '{}': inputs {} and {} differ in rank", layer, parts[0].type().text(),
           part.type().text());
}

}  // namespace

Expr Network::embedding(const Expr& x, int64_t input_dim, int64_t output_dim,
                        const EmbeddingOptions& o) {
  const Scope scope(*this, "embedding", o.name);
  const Expr table =
      parameter(scope.name(), "embeddings", {input_dim, output_dim}, o.embeddings, o.trainable);
  const Expr tokens = is_integer(x.dtype()) ? x : cast(x, DType::i32);
  const Expr y = gather(table, tokens, 0);
  if (o.mask_zero) set_mask(y, logical_not(eq(tokens, 0.0)));
  return y;
}

Expr Network::dense(const Expr& x, int64_t units, const DenseOptions& o) {
  const Scope scope(*this, "dense", o.name);
  if (x.rank() < 2)
    fail("layer '{}': the input is {}, [batch, .., features] was expected", scope.name(),
         x.type().text());
  const Dim features = x.shape()[x.rank() - 1];
  if (!features.is_static())
    fail("layer '{}': the last dimension of {} must be fixed", scope.name(), x.type().text());
  const Expr kernel =
      parameter(scope.name(), "kernel", {features.value(), units}, o.kernel, o.trainable);
  Expr y = matmul(x, kernel);
  if (o.use_bias) y = y + parameter(scope.name(), "bias", {units}, o.bias, o.trainable);
  return carry_mask(x, activate(o.activation, y));
}

Expr Network::dropout(const Expr& x, double rate, const DropoutOptions& o) {
  const Scope scope(*this, "dropout", o.name);
  return carry_mask(x, dropped(x, rate, o.shared_axes, scope.name()));
}

Expr Network::activation(const Expr& x, Activation activation, const std::string& name) {
  return apply(x, [&](const Expr& v) { return activate(activation, v); }, name);
}

Expr Network::apply(const Expr& x, const std::function<Expr(const Expr&)>& function,
                    const std::string& name) {
  const Scope scope(*this, "activation", name);
  return carry_mask(x, function(x));
}

Expr Network::flatten(const Expr& x, Layout layout, const std::string& name) {
  const Scope scope(*this, "flatten", name);
  if (x.rank() < 1) fail("layer '{}': the input is a scalar", scope.name());
  Expr y = x;
  if (layout == Layout::ChannelsFirst && x.rank() > 2) {
    Dims perm = {0};
    for (int i = 2; i < x.rank(); ++i) perm.push_back(i);
    perm.push_back(1);
    y = transpose(x, perm);
  }
  Dim features = 1;
  for (int i = 1; i < y.rank(); ++i) features = features * y.shape()[i];
  const Dim batch = y.shape()[0];
  return lathe::reshape(y, Shape{batch, features});
}

Expr Network::reshape(const Expr& x, const Dims& dims, const std::string& name) {
  const Scope scope(*this, "reshape", name);
  if (x.rank() < 1) fail("layer '{}': the input is a scalar", scope.name());
  int64_t known = 1;
  int free = -1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == -1 && free < 0) free = static_cast<int>(i);
    else if (dims[i] <= 0 || __builtin_mul_overflow(known, dims[i], &known))
      fail("layer '{}': target shape ({}) must hold positive numbers and at most one -1",
           scope.name(), Shape(dims).text());
  }
  std::vector<Dim> target = {x.shape()[0]};
  for (int64_t d : dims) target.emplace_back(d);
  if (free >= 0) {
    Dim features = 1;
    for (int i = 1; i < x.rank(); ++i) features = features * x.shape()[i];
    target[static_cast<size_t>(free) + 1] = floordiv(features, known);
  }
  return lathe::reshape(x, Shape(std::move(target)));
}

Expr Network::concatenate(const std::vector<Expr>& parts, int64_t axis, const std::string& name) {
  const Scope scope(*this, "concatenate", name);
  check_same_rank(parts, scope.name());
  const int rank = parts[0].rank();
  axis = normalized_axis(axis, rank, scope.name());
  if (axis == 0) fail("layer '{}': axis 0 is the batch", scope.name());
  const Expr y = concat(parts, axis);
  const auto masked = [&](const Expr& part) { return mask(part).defined(); };
  if (parts.size() == 1 || std::none_of(parts.begin(), parts.end(), masked)) return y;
  if (axis == 1 && rank > 2) {
    std::vector<Expr> masks;
    for (const Expr& part : parts) {
      const Shape steps{part.shape()[0], part.shape()[1]};
      masks.push_back(masked(part) ? mask(part) : full(graph_, {DType::boolean, steps}, 1));
    }
    set_mask(y, concat(masks, 1));
  } else {
    Expr all;
    for (const Expr& part : parts) all = both(all, mask(part));
    set_mask(y, all);
  }
  return y;
}

Expr Network::add(const std::vector<Expr>& parts, const std::string& name) {
  const Scope scope(*this, "add", name);
  check_same_rank(parts, scope.name());
  Expr sum = parts[0], all = mask(parts[0]);
  for (size_t i = 1; i < parts.size(); ++i) {
    sum = sum + parts[i];
    all = both(all, mask(parts[i]));
  }
  if (parts.size() > 1) set_mask(sum, all);
  return sum;
}

}  // namespace lathe::nn
