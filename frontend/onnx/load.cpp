#include "frontend/onnx/load.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::onnx {
namespace {

std::string symbol_of(const ValueDef& input, size_t axis) {
  const DeclaredDim& dim = (*input.type.dims)[axis];
  return dim.symbol.empty() ? fmt::format("{}_{}", input.name, axis) : dim.symbol;
}

// Calls fn(input, axis) for every free dim.
template <class F>
void for_each_free(const ModelDef& model, F&& fn) {
  for (const ValueDef& in : required_inputs(*model.graph))
    for (size_t axis = 0; in.type.dims && axis < in.type.dims->size(); ++axis)
      if (!(*in.type.dims)[axis].value) fn(in, axis);
}

}  // namespace

std::vector<std::string> free_dims(const ModelDef& model) {
  std::vector<std::string> out;
  for_each_free(model, [&](const ValueDef& in, size_t axis) {
    const std::string symbol = symbol_of(in, axis);
    if (std::find(out.begin(), out.end(), symbol) == out.end()) out.push_back(symbol);
  });
  return out;
}

std::vector<std::pair<std::string, Value>> typed_inputs(const ModelDef& model,
                                                        const DimBinding& dims) {
  std::vector<std::pair<std::string, Value>> out;
  for (const ValueDef& in : required_inputs(*model.graph)) {
    if (in.type.kind != DeclaredType::Kind::Tensor || in.type.elem == ElemType::String)
      fail_unsupported("{}: input '{}' is {}: it needs the values of a run", model.path, in.name,
                       in.type.text());
    if (!in.type.dims)
      fail_unsupported("{}: input '{}' is {}: its rank is free", model.path, in.name,
                       in.type.text());
    Dims bound;
    for (size_t axis = 0; axis < in.type.dims->size(); ++axis) {
      const DeclaredDim& dim = (*in.type.dims)[axis];
      bound.push_back(dim.value ? *dim.value : dims.at(symbol_of(in, axis)));
    }
    out.emplace_back(in.name, Value::of_slot(0, in.type.elem, std::move(bound)));
  }
  return out;
}

void infer_dims(const ModelDef& model, const std::vector<std::pair<std::string, Value>>& inputs,
                DimBinding& dims) {
  for_each_free(model, [&](const ValueDef& in, size_t axis) {
    for (const auto& [name, value] : inputs)
      if (name == in.name && value.is_tensor() && axis < value.dims().size())
        dims.emplace(symbol_of(in, axis), value.dims()[axis]);
  });
}

bool is_one_graph(const std::shared_ptr<const ModelDef>& model, const DimBinding& dims) {
  return trace(begin(model, typed_inputs(*model, dims), {})).end == Stage::End::Finished;
}

Model load_graph(const std::shared_ptr<const ModelDef>& model, const DimBinding& dims,
                 bool trained) {
  TraceOptions options;
  options.whole = true;
  options.parameters = trained;
  Stage stage = trace(begin(model, typed_inputs(*model, dims), options));
  if (stage.end != Stage::End::Finished)
    fail_unsupported(
        "{} depends on values that only a run can tell: the model is more than one graph",
        stage.place);
  return {std::move(stage.graph), std::move(stage.parameters)};
}

}  // namespace lathe::onnx
