// Losses of classification.
#include "frontend/nn/activation.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// -weight[target] * logs[target] over the class axis 1, reduced. Targets that equal ignore_index
// have weight 0.
Expr likelihood_loss(OpContext& c, const Expr& logs, const Expr& target, int weights) {
  const std::string reduction = c.attr_text("reduction", "mean");
  const Expr wide = cast(target, DType::i64);
  const Expr classes = iota(c.graph(), DType::i64, logs.shape(), 1);
  const Expr hit = eq(classes, expand_dims(wide, 1));
  const Expr picked = reduce_sum(select(hit, logs, full_like(logs, 0)), {1});
  Expr weight = full_like(picked, 1);
  if (c.has(weights)) weight = gather(c.expr(weights), wide, 0);
  if (c.has_attribute("ignore_index"))
    weight = select(eq(wide, static_cast<double>(c.attr_int("ignore_index"))), full_like(weight, 0),
                    weight);
  const Expr loss = neg(picked * weight);
  const Dims all = range(0, loss.rank());
  if (reduction == "none") return loss;
  if (reduction == "sum") return reduce_sum(loss, all);
  if (reduction != "mean") fail("reduction is '{}'", reduction);
  return reduce_sum(loss, all) / reduce_sum(weight, all);
}

void negative_log_likelihood(OpContext& c) { c.out(likelihood_loss(c, c.expr(0), c.expr(1), 2)); }

void softmax_cross_entropy(OpContext& c) {
  const Expr logs = nn::log_softmax(c.expr(0), {1});
  c.out(0, likelihood_loss(c, logs, c.expr(1), 2));
  if (c.wants(1)) c.out(1, logs);
}

constexpr OpRow kRows[] = {
    {"NegativeLogLikelihoodLoss", 12, negative_log_likelihood},
    {"SoftmaxCrossEntropyLoss", 12, softmax_cross_entropy},
};

}  // namespace

std::span<const OpRow> loss_rows() { return kRows; }

}  // namespace lathe::onnx
