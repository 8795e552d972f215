#include "frontend/losses.h"

#include "frontend/nn/activation.h"
#include "ir/op.h"

namespace lathe {
namespace {

// Keras' epsilon: probabilities that did not come from a sigmoid or softmax are kept this far from
// 0 and 1.
constexpr double kClip = 1e-7;

Dims all_axes(const Expr& x) {
  Dims axes;
  for (int i = 0; i < x.rank(); ++i) axes.push_back(i);
  return axes;
}

Expr mean(const Expr& x) { return reduce_mean(x, all_axes(x)); }

Expr as_target(const Expr& target, const Shape& shape, DType dtype) {
  if (!(target.shape().volume() == shape.volume()))
    fail("the target is {}, a tensor like [{}] was expected", target.type().text(), shape.text());
  return cast(reshape(target, shape), dtype);
}

// The operand of the node that gives x, if that is an `op`.
Expr operand_if(const Expr& x, OpId op, size_t index = 0) {
  const Node& n = x.graph->node(x.value);
  return n.op == op ? Expr{x.graph, n.operands[index]} : Expr{};
}

// max(z, 0) - z y + log(1 + exp(-|z|))
Expr binary_loss_of_logits(const Expr& z, const Expr& target) {
  return mean(nn::softplus(z) - z * as_target(target, z.shape(), z.dtype()));
}

Expr binary_loss(const Expr& p, const Expr& target) {
  if (const Expr z = operand_if(p, OpId::sigmoid); z.defined())
    return binary_loss_of_logits(z, target);
  const Expr y = as_target(target, p.shape(), p.dtype());
  const Expr q = nn::clip(p, kClip, 1 - kClip);
  return neg(mean(y * log(q) + (1.0 - y) * log(1.0 - q)));
}

Expr share(const Expr& hits, DType dtype) { return mean(cast(hits, dtype)); }

Expr binary_accuracy(const Expr& prediction, const Expr& target, double threshold) {
  const Expr y = as_target(target, prediction.shape(), prediction.dtype());
  const Expr said = lt(full_like(prediction, threshold), prediction);
  return share(eq(cast(said, y.dtype()), y), y.dtype());
}

// log p where p is exp(z) / sum(exp(z)) over the last axis, as nn::softmax writes it; undefined
// for any other p.
Expr log_of_softmax(const Expr& p) {
  const Expr e = operand_if(p, OpId::div), below = operand_if(p, OpId::div, 1);
  if (!e.defined()) return {};
  const Expr z = operand_if(e, OpId::exp), kept = operand_if(below, OpId::broadcast);
  if (!z.defined() || !kept.defined()) return {};
  const Expr sum = operand_if(kept, OpId::reshape);
  if (!sum.defined() || operand_if(sum, OpId::reduce_sum).value != e.value) return {};
  const auto& axes = std::get<AxesAttrs>(sum.graph->node(sum.value).attrs).axes;
  if (axes != Dims{p.rank() - 1}) return {};
  return z - keep_axes(log(sum), axes);
}

Expr log_probabilities(const Expr& p, bool logits) {
  if (p.rank() == 0) fail("the prediction is a scalar, [.., classes] was expected");
  if (logits) return nn::log_softmax(p, {p.rank() - 1});
  if (const Expr log_p = log_of_softmax(p); log_p.defined()) return log_p;
  // Keras makes the rows sum to 1 before it clips.
  const Dims last = {p.rank() - 1};
  return log(nn::clip(p / keep_axes(reduce_sum(p, last), last), kClip, 1 - kClip));
}

Expr categorical_loss(const Expr& log_p, const Expr& target) {
  const Expr y = as_target(target, log_p.shape(), log_p.dtype());
  return neg(mean(reduce_sum(y * log_p, {log_p.rank() - 1})));
}

Shape without_last(const Shape& s) { return Shape(std::vector<Dim>(s.begin(), s.end() - 1)); }

Expr sparse_loss(const Expr& log_p, const Expr& target) {
  const int64_t last = log_p.rank() - 1;
  const Expr classes = as_target(target, without_last(log_p.shape()), DType::i32);
  const Expr number = iota(*log_p.graph, DType::i32, log_p.shape(), last);
  const Expr hit = eq(number, expand_dims(classes, last));
  return neg(mean(reduce_sum(select(hit, log_p, full_like(log_p, 0)), {last})));
}

// The number of the first greatest element of each row.
Expr argmax(const Expr& x) {
  const int64_t last = x.rank() - 1;
  const Expr greatest = keep_axes(reduce_max(x, {last}), {last});
  const Expr number = iota(*x.graph, DType::i32, x.shape(), last);
  return reduce_min(select(eq(x, greatest), number, full_like(number, INT32_MAX)), {last});
}

Expr sparse_accuracy(const Expr& prediction, const Expr& target) {
  const Expr classes = as_target(target, without_last(prediction.shape()), DType::i32);
  return share(eq(argmax(prediction), classes), prediction.dtype());
}

Expr categorical_accuracy(const Expr& prediction, const Expr& target) {
  const Expr rows = as_target(target, prediction.shape(), prediction.dtype());
  return share(eq(argmax(prediction), argmax(rows)), prediction.dtype());
}

TensorType same_as(const TensorType& prediction) { return prediction; }

TensorType class_numbers(const TensorType& prediction) {
  if (prediction.rank() == 0) fail("the prediction is a scalar, [.., classes] was expected");
  return {DType::i32, without_last(prediction.shape)};
}

Objective categorical(std::string name, bool sparse, bool logits) {
  Objective o{.name = std::move(name), .loss = {}, .accuracy = {}, .target = {}};
  o.loss = [=](const Expr& p, const Expr& target) {
    const Expr log_p = log_probabilities(p, logits);
    return sparse ? sparse_loss(log_p, target) : categorical_loss(log_p, target);
  };
  o.accuracy = sparse ? sparse_accuracy : categorical_accuracy;
  o.target = sparse ? class_numbers : same_as;
  return o;
}

Objective binary(std::string name, bool logits) {
  return {.name = std::move(name),
          .loss = logits ? binary_loss_of_logits : binary_loss,
          .accuracy = [=](const Expr& p,
                          const Expr& y) { return binary_accuracy(p, y, logits ? 0 : 0.5); },
          .target = same_as};
}

Objective regression(std::string name, Expr (*deviation)(const Expr&)) {
  return {.name = std::move(name),
          .loss =
              [=](const Expr& p, const Expr& target) {
                return mean(deviation(p - as_target(target, p.shape(), p.dtype())));
              },
          .accuracy =
              [](const Expr& p, const Expr& target) {
                return share(eq(p, as_target(target, p.shape(), p.dtype())), p.dtype());
              },
          .target = same_as};
}

struct Row {
  std::string_view name, short_name;
  Objective (*make)();
};
constexpr Row kObjectives[] = {
    {"binary_crossentropy", "bce", binary_crossentropy},
    {"categorical_crossentropy", "", categorical_crossentropy},
    {"sparse_categorical_crossentropy", "", sparse_categorical_crossentropy},
    {"binary_crossentropy_from_logits", "", binary_crossentropy_from_logits},
    {"categorical_crossentropy_from_logits", "", categorical_crossentropy_from_logits},
    {"sparse_categorical_crossentropy_from_logits", "",
     sparse_categorical_crossentropy_from_logits},
    {"mean_squared_error", "mse", mean_squared_error},
    {"mean_absolute_error", "mae", mean_absolute_error},
};

}  // namespace

Objective binary_crossentropy() { return binary("binary_crossentropy", false); }
Objective binary_crossentropy_from_logits() {
  return binary("binary_crossentropy_from_logits", true);
}
Objective categorical_crossentropy() {
  return categorical("categorical_crossentropy", false, false);
}
Objective categorical_crossentropy_from_logits() {
  return categorical("categorical_crossentropy_from_logits", false, true);
}
Objective sparse_categorical_crossentropy() {
  return categorical("sparse_categorical_crossentropy", true, false);
}
Objective sparse_categorical_crossentropy_from_logits() {
  return categorical("sparse_categorical_crossentropy_from_logits", true, true);
}
Objective mean_squared_error() {
  return regression("mean_squared_error", [](const Expr& d) { return d * d; });
}
Objective mean_absolute_error() {
  return regression("mean_absolute_error", [](const Expr& d) { return abs(d); });
}

std::vector<std::string> objective_names() {
  std::vector<std::string> out;
  for (const Row& row : kObjectives) {
    out.emplace_back(row.name);
    if (!row.short_name.empty()) out.emplace_back(row.short_name);
  }
  return out;
}

Objective find_objective(std::string_view name) {
  std::string known;
  for (const Row& row : kObjectives) {
    if (name == row.name || (!row.short_name.empty() && name == row.short_name)) return row.make();
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  fail("there is no loss '{}'; there are {}", name, known);
}

}  // namespace lathe
