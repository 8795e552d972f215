#include "frontend/onnx/ml_scores.h"

#include <numbers>

#include "frontend/nn/activation.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {

PostTransform read_post_transform(OpContext& c) {
  const std::string text = c.attr_text("post_transform", "NONE");
  if (text == "NONE") return PostTransform::None;
  if (text == "SOFTMAX") return PostTransform::Softmax;
  if (text == "LOGISTIC") return PostTransform::Logistic;
  if (text == "SOFTMAX_ZERO") return PostTransform::SoftmaxZero;
  if (text == "PROBIT") return PostTransform::Probit;
  fail("post_transform is '{}'", text);
}

namespace {

// Softmax in which what is 0 stays 0.
Expr softmax_zero(const Expr& x) {
  const Expr most = keep_axes(reduce_max(x, {1}), {1});
  const Expr is_zero = le(abs(x), full_like(x, 1e-7));
  const Expr e = select(is_zero, x * exp(-most), exp(x - most));
  const Expr sum = keep_axes(reduce_sum(e, {1}), {1});
  return select(eq(sum, 0), full_like(x, 0.5), e / sum);
}

// The quantile of the normal distribution, by Winitzki's approximation of the inverse of erf.
Expr probit(const Expr& x) {
  constexpr double kA = 0.147;
  const Expr t = x * 2.0 - 1.0, inside = (1.0 - t) * (t + 1.0);
  const Expr l = log(select(eq(inside, 0), full_like(x, 1), inside));
  const Expr v = l * 0.5 + 2 / (std::numbers::pi * kA);
  const Expr size = sqrt(sqrt(v * v - l / kA) - v) * 1.41421356;
  return select(eq(inside, 0), full_like(x, 0), select(lt(t, 0), -size, size));
}

}  // namespace

Expr post_transformed(const Expr& scores, PostTransform how) {
  switch (how) {
    case PostTransform::None: return scores;
    case PostTransform::Softmax: return nn::softmax(scores, {1});
    case PostTransform::Logistic: return sigmoid(scores);
    case PostTransform::SoftmaxZero: return softmax_zero(scores);
    case PostTransform::Probit: return probit(scores);
  }
  return scores;
}

Expr first_largest(const Expr& scores) {
  const Expr hit = eq(scores, keep_axes(reduce_max(scores, {1}), {1}));
  const Expr at = iota(*scores.graph, DType::i64, scores.shape(), 1);
  return reduce_min(select(hit, at, full_like(at, 0x1p52)), {1});
}

Labels read_labels(OpContext& c, std::string_view integers, std::string_view texts) {
  return {c.attr_ints(integers), c.attr_texts(texts)};
}

void out_classes(OpContext& c, const Labels& labels, const Expr& index, const Expr& scores) {
  if (labels.texts.empty()) {
    c.out(labels.integers.empty() ? index
                                  : gather(list_constant(c.graph(), labels.integers), index, 0));
    c.out(scores);
    return;
  }
  const std::vector<std::string> names = labels.texts;
  c.host(
      [names](HostServices&, const std::vector<Value>& in) {
        const Tensor& at = in[0].known.numbers;
        std::vector<std::string> out;
        for (int64_t i = 0; i < at.size(); ++i)
          out.push_back(names[static_cast<size_t>(
              std::clamp<int64_t>(at.int_at(i), 0, std::ssize(names) - 1))]);
        return std::vector<Value>{Value::of(HostTensor(at.dims(), std::move(out))), in[1]};
      },
      {Value::of(index, ElemType::Int64), Value::of(scores, elem_of(scores.dtype()))});
}

std::vector<double> floats_or_tensor(OpContext& c, std::string_view name) {
  const std::string as_tensor = std::string(name) + "_as_tensor";
  if (!c.has_attribute(as_tensor)) return c.attr_floats(name);
  const HostTensor t = c.attr_tensor(as_tensor);
  if (t.is_string()) fail("attribute '{}' is {}", as_tensor, t.type_text());
  std::vector<double> out;
  for (int64_t i = 0; i < t.numbers.size(); ++i) out.push_back(t.numbers.at(i));
  return out;
}

Expr numbers_constant(Graph& g, DType type, const std::vector<double>& values, Dims dims) {
  Tensor t = Tensor::empty(type, std::move(dims));
  LATHE_ASSERT(t.size() == std::ssize(values));
  for (int64_t i = 0; i < t.size(); ++i) t.set(i, values[static_cast<size_t>(i)]);
  return constant(g, t);
}

}  // namespace lathe::onnx
