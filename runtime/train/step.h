// One training or evaluation step on the tensors of a model, held by name.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "runtime/data/batches.h"
#include "runtime/executable.h"

namespace lathe::train {

// Ports that a step has besides the model's own; every other name is a parameter or a state of the
// store, or the model's data input.
inline constexpr std::string_view kTarget = "target";
inline constexpr std::string_view kLearningRate = "learning_rate";
inline constexpr std::string_view kLoss = "loss";
inline constexpr std::string_view kAccuracy = "accuracy";

// Parameters and states by name, in storage of our own: steps update them in place.
using TensorStore = std::map<std::string, Tensor>;

// Adds zeros for the input `name` unless the store has it: how optimiser states begin. A tensor of
// another type is a user error naming both.
void add_state(TensorStore& store, const Port& port);

struct Metrics {
  double loss = 0;
  double accuracy = 0;
};

// Metrics of batches of differing size, each weighted by its examples.
class Average {
 public:
  void add(const Metrics& m, int64_t examples);
  Metrics value() const;
  int64_t examples() const { return examples_; }

 private:
  double loss_ = 0, accuracy_ = 0;
  int64_t examples_ = 0;
};

// Runs `step` on one batch. The step has exactly one data input, which takes the batch's inputs; a
// target takes the labels, cast to the port's dtype, and a learning rate `learning_rate`.
// Errors: an input that is in neither store nor batch, and those of Executable::run.
Metrics run_step(Executable& step, TensorStore& store, const data::Batch& batch,
                 double learning_rate = 0);

// The executable for batches of this many examples; called for full batches and for the last,
// smaller one. It stays alive as long as the function.
using StepOfSize = std::function<Executable&(int64_t batch)>;

}  // namespace lathe::train
