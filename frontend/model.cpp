#include "frontend/model.h"

#include "runtime/safetensors.h"

namespace lathe {
namespace {

bool remembered(const GraphInput& in) { return in.role != InputRole::Data; }

const Tensor& checked_weight(const GraphInput& in, const Tensor* weight, const std::string& place) {
  if (weight == nullptr || !weight->defined())
    fail("{}: weight '{}' is missing; {} was expected", place, in.name, in.type.text());
  if (!in.type.shape.is_static())
    fail("{}: weight '{}' has the free shape {}; weights have fixed shapes", place, in.name,
         in.type.text());
  if (weight->dtype() != in.type.dtype || weight->dims() != in.type.shape.static_dims())
    fail("{}: weight '{}' is {}, but {} was expected", place, in.name, weight->type_text(),
         in.type.text());
  return *weight;
}

const Tensor& weight_of(const Model& model, const GraphInput& in) {
  return checked_weight(in, model.weights.find(in.name),
                        fmt::format("model '{}'", model.graph.name()));
}

}  // namespace

void check_weights(const Model& model) {
  for (const GraphInput& in : model.graph.inputs())
    if (remembered(in)) weight_of(model, in);
}

Graph freeze(const Model& model) {
  const Graph& source = model.graph;
  Graph target(source.name());
  std::vector<Expr> operands;
  for (const GraphInput& in : source.inputs())
    operands.push_back(remembered(in) ? constant(target, weight_of(model, in))
                                      : input(target, in.name, in.type));
  const std::vector<Expr> outputs = inline_graph(target, source, operands);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (source.outputs()[i].updates < 0)
      target.add_output(source.outputs()[i].name, outputs[i].value);
  return target;
}

void load_weights(Model& model, const std::string& path) {
  const SafetensorsFile file = read_safetensors(path);
  Weights loaded = model.weights;
  for (const GraphInput& in : model.graph.inputs())
    if (remembered(in)) loaded.set(in.name, checked_weight(in, file.find(in.name), path));
  model.weights = std::move(loaded);
}

void save_weights(const Model& model, const std::string& path) {
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : model.weights.all()) tensors.push_back({name, tensor});
  write_safetensors(path, tensors);
}

}  // namespace lathe
