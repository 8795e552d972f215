// A model's training step, where nothing but the model says what it is trained for.
#pragma once

#include <string>

#include "tools/model_file.h"

namespace lathe::tools {

class OptionList;

struct TrainingChoice {
  std::string loss;  // empty: what suits the first output
  std::string optimizer = "adam";
};
// --loss and --optimizer, of a verb that has --train.
void add_training_options(OptionList& options, TrainingChoice& choice);

// Forward, loss, gradients and update (passes/train_step.h) of a model loaded for training.
Graph training_graph(const ModelFile& file, const TrainingChoice& choice);

}  // namespace lathe::tools
