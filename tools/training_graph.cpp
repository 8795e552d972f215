#include "tools/training_graph.h"

#include "frontend/losses.h"
#include "frontend/optimizers.h"
#include "passes/train_step.h"
#include "tools/cli.h"

namespace lathe::tools {

void add_training_options(OptionList& options, TrainingChoice& choice) {
  options.add("--loss", choice.loss, "With --train (default: what suits the output)")
      .one_of(objective_names());
  options.add("--optimizer", choice.optimizer, "With --train")
      .one_of(optimizer_names(), Case::Ignored)
      .show_default();
}

Graph training_graph(const ModelFile& file, const TrainingChoice& choice) {
  const Graph& g = file.model.graph;
  if (g.outputs().empty()) fail("{}: the model has no output to train on", file.path);
  const TensorType& answer = g.type(g.outputs()[0].value);
  const bool binary = answer.rank() == 2 && answer.shape[1] == Dim(1);
  const std::string loss = !choice.loss.empty() ? choice.loss
                           : binary             ? "binary_crossentropy"
                                                : "sparse_categorical_crossentropy";
  const Objective objective = find_objective(loss);
  TrainingSpec spec;
  spec.loss = objective.loss;
  spec.accuracy = objective.accuracy;
  spec.target = objective.target(answer);
  spec.optimizer = find_optimizer(choice.optimizer);
  return train_step(g, spec);
}

}  // namespace lathe::tools
