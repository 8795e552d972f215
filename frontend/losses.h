// Losses and accuracies as graph formulas: scalars, means over all elements of the batch.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ir/expr.h"

namespace lathe {

// What a network is trained on, in the form that the training step takes.
struct Objective {
  std::string name;
  std::function<Expr(const Expr& prediction, const Expr& target)> loss;
  std::function<Expr(const Expr& prediction, const Expr& target)> accuracy;
  // The targets that belong to a prediction of this type. Targets of any number type and of any
  // shape with as many elements are taken too.
  std::function<TensorType(const TensorType& prediction)> target;
};

// Prediction: probabilities (a sigmoid's result, from whose operand the loss is then taken without
// cancellation; others are clipped to [1e-7, 1 - 1e-7] as Keras does). Accuracy: threshold 1/2.
Objective binary_crossentropy();
// Prediction [.., classes]: probabilities, a softmax's result treated likewise. Targets: rows of
// the same shape, or class numbers i32 [..].
Objective categorical_crossentropy();
Objective sparse_categorical_crossentropy();
// The same for predictions that are logits.
Objective binary_crossentropy_from_logits();
Objective categorical_crossentropy_from_logits();
Objective sparse_categorical_crossentropy_from_logits();
// Accuracy: the share of predictions equal to their target.
Objective mean_squared_error();
Objective mean_absolute_error();

// By Keras' name or a short one: bce, mse, mae. A user error lists the names there are.
Objective find_objective(std::string_view name);
std::vector<std::string> objective_names();

}  // namespace lathe
