#include "passes/train_step.h"

#include "passes/autodiff.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

int find_input(const Graph& g, const std::string& name) {
  for (size_t i = 0; i < g.inputs().size(); ++i)
    if (g.inputs()[i].name == name) return static_cast<int>(i);
  return -1;
}

Expr prediction_of(Graph& g) {
  if (g.outputs().empty()) fail("model '{}' has no output to train on", g.name());
  return {&g, g.outputs()[0].value};
}

}  // namespace

Graph train_step(const Graph& model, const TrainingSpec& spec) {
  Graph g = model;
  const std::vector<GraphInput> model_inputs = g.inputs();
  const std::vector<GraphOutput> model_outputs = g.outputs();
  const Expr prediction = prediction_of(g);
  const Expr target = input(g, std::string(kTargetInput), spec.target);
  const Expr rate = input(g, std::string(kLearningRateInput), {DType::f32, {}});
  const Expr step = input(g, std::string(kStepState), {DType::f64, {}}, InputRole::State);
  const Expr loss = spec.loss(prediction, target);
  if (loss.rank() != 0) fail("the loss is {}, a scalar was expected", loss.type().text());

  std::vector<Expr> parameters;
  std::vector<int> parameter_index;
  for (size_t i = 0; i < model_inputs.size(); ++i)
    if (model_inputs[i].role == InputRole::Parameter) {
      parameters.push_back({&g, model_inputs[i].value});
      parameter_index.push_back(static_cast<int>(i));
    }
  if (parameters.empty()) fail("model '{}' has no parameters to train", g.name());
  const Gradients gradients = add_gradients(g, {loss}, {full_like(loss, 1)}, parameters);

  std::vector<GraphOutput> outputs = {
      {std::string(kLossOutput), loss.value, -1},
      {std::string(kAccuracyOutput), spec.accuracy(prediction, target).value, -1}};
  for (size_t k = 1; k < model_outputs.size(); ++k) outputs.push_back(model_outputs[k]);
  const Expr next_step = step + 1.0;
  outputs.push_back(
      {std::string(kStepState), next_step.value, find_input(g, std::string(kStepState))});
  const std::vector<Expr> shared = spec.optimizer.prepare(next_step, rate);
  for (size_t k = 0; k < parameters.size(); ++k) {
    const std::string& name = model_inputs[static_cast<size_t>(parameter_index[k])].name;
    std::vector<Expr> slots;
    std::vector<int> slot_index;
    for (const std::string& slot : spec.optimizer.slots) {
      slot_index.push_back(static_cast<int>(g.inputs().size()));
      slots.push_back(input(g, name + "/" + slot, parameters[k].type(), InputRole::State));
    }
    Expr gradient = gradients.of[k];
    if (spec.l2 != 0) gradient = gradient + parameters[k] * spec.l2;
    const std::vector<Expr> updated = spec.optimizer.update(parameters[k], gradient, slots, shared);
    LATHE_ASSERT(updated.size() == slots.size() + 1);
    outputs.push_back({name, updated[0].value, parameter_index[k]});
    for (size_t s = 0; s < slots.size(); ++s)
      outputs.push_back(
          {name + "/" + spec.optimizer.slots[s], updated[s + 1].value, slot_index[s]});
  }
  return apply_replacements(g, outputs, gradients.replacements);
}

Graph evaluation_step(const Graph& model, const TrainingSpec& spec) {
  Graph g = model;
  const std::string name = g.outputs().empty() ? "" : g.outputs()[0].name;
  const Expr prediction = prediction_of(g);
  const Expr target = input(g, std::string(kTargetInput), spec.target);
  const std::vector<GraphOutput> outputs = {
      {name, prediction.value, -1},
      {std::string(kLossOutput), spec.loss(prediction, target).value, -1},
      {std::string(kAccuracyOutput), spec.accuracy(prediction, target).value, -1}};
  return Rebuilder::run(g, outputs);
}

}  // namespace lathe
