// Training as a graph: loss, gradients and the optimiser's update become one step, with parameters
// and states replaced in place.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/expr.h"
#include "ir/optimizer.h"

namespace lathe {

struct TrainingSpec {
  // A scalar to minimise, the mean over the batch.
  std::function<Expr(const Expr& prediction, const Expr& target)> loss;
  // A scalar in [0, 1], the mean over the batch.
  std::function<Expr(const Expr& prediction, const Expr& target)> accuracy;
  TensorType target;
  Optimizer optimizer;
  double l2 = 0;  // weight of half the squared norm of all parameters, added to the gradient
};

// Names of the inputs and outputs that a step adds to the model's own.
inline constexpr std::string_view kTargetInput = "target";
inline constexpr std::string_view kLearningRateInput = "learning_rate";
inline constexpr std::string_view kStepState = "step";
inline constexpr std::string_view kLossOutput = "loss";
inline constexpr std::string_view kAccuracyOutput = "accuracy";

// The step of `model` (built for training), whose output 0 is the prediction and whose other
// outputs update states. Inputs: the model's, then target, learning_rate, step and
// `<parameter>/<slot>`. Outputs: loss, accuracy, then updates of all parameters and states. A
// parameter that the loss does not depend on is left alone.
Graph train_step(const Graph& model, const TrainingSpec& spec);

// The model with target added and outputs: prediction, loss, accuracy. Nothing is updated.
Graph evaluation_step(const Graph& model, const TrainingSpec& spec);

}  // namespace lathe
