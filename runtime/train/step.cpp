#include "runtime/train/step.h"

#include "ir/base/convert.h"

namespace lathe::train {
namespace {

std::string type_text(const Port& port) {
  return fmt::format("{}[{}]", name(port.dtype), Shape(port.dims).text());
}

double scalar_output(const Executable& step, const std::vector<Tensor>& results,
                     std::string_view name) {
  const int i = step.find_output(name);
  LATHE_ASSERT(i >= 0, "a training step has no output '{}'", name);
  return results[static_cast<size_t>(i)].at(0);
}

}  // namespace

void add_state(TensorStore& store, const Port& port) {
  const auto found = store.find(port.name);
  if (found == store.end()) {
    store[port.name] = Tensor::zeros(port.dtype, port.dims);
  } else if (found->second.dtype() != port.dtype || found->second.dims() != port.dims) {
    fail("tensor '{}' is {}, the model expects {}", port.name, found->second.type_text(),
         type_text(port));
  }
}

void Average::add(const Metrics& m, int64_t examples) {
  loss_ += m.loss * static_cast<double>(examples);
  accuracy_ += m.accuracy * static_cast<double>(examples);
  examples_ += examples;
}

Metrics Average::value() const {
  if (examples_ == 0) return {};
  const auto n = static_cast<double>(examples_);
  return {loss_ / n, accuracy_ / n};
}

Metrics run_step(Executable& step, TensorStore& store, const data::Batch& batch,
                 double learning_rate) {
  std::vector<Tensor> inputs;
  bool fed = false;
  for (const Port& port : step.inputs()) {
    const auto held = store.find(port.name);
    if (held != store.end()) {
      inputs.push_back(held->second);
    } else if (port.name == kTarget) {
      inputs.push_back(converted(batch.labels, port.dtype));
    } else if (port.name == kLearningRate) {
      inputs.push_back(Tensor::scalar_of(port.dtype, learning_rate));
    } else if (!fed) {
      inputs.push_back(converted(batch.inputs, port.dtype));
      fed = true;
    } else {
      fail("input '{}' of the model has no data: models with one data input can be trained",
           port.name);
    }
  }
  const std::vector<Tensor> results = step.run(inputs);
  return {scalar_output(step, results, kLoss), scalar_output(step, results, kAccuracy)};
}

}  // namespace lathe::train
