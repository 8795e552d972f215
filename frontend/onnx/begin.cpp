// The state before the first node.
#include <fmt/format.h>

#include "frontend/onnx/tracer.h"

namespace lathe::onnx {
namespace {

void check_type(const ValueDef& def, const Value& v, const std::string& path) {
  const auto expected = [&] {
    fail("{}: input '{}' is {}, {} was expected", path, def.name, v.signature(), def.type.text());
  };
  using Kind = DeclaredType::Kind;
  const DeclaredType& type = def.type;
  if (type.kind == Kind::Sequence && v.kind != Value::Kind::Sequence) expected();
  if (type.kind == Kind::Optional && v.kind != Value::Kind::Optional) expected();
  if (type.kind == Kind::Map && v.kind != Value::Kind::Map) expected();
  if (type.kind != Kind::Tensor) return;
  if (!v.is_tensor() || v.elem != type.elem) expected();
  if (!type.dims) return;
  const Dims dims = v.dims();
  if (dims.size() != type.dims->size()) expected();
  for (size_t i = 0; i < dims.size(); ++i)
    if ((*type.dims)[i].value && *(*type.dims)[i].value != dims[i]) expected();
}

// Offsets within a value are counted.
void check_size(const Value& leaf, const std::string& name, const std::string& path) {
  try {
    element_count(leaf.dims());
  } catch (const Error& e) {
    fail("{}: input '{}': {}", path, name, e.what());
  }
}

// The value with its tensors in slots of their own.
Value into_slots(Value v, const std::string& name, bool keep_known, TraceState& state) {
  int part = 0;
  const bool whole = v.is_tensor();
  for_each_leaf(v, [&](Value& leaf) {
    check_size(leaf, name, state.model->path);
    if (keep_known && leaf.kind == Value::Kind::Known) return;
    state.input_names.push_back(whole ? name : fmt::format("{}/{}", name, part++));
    leaf = Value::of_slot(state.slots++, leaf.elem, leaf.dims());
  });
  return v;
}

}  // namespace

TraceState begin(std::shared_ptr<const ModelDef> model,
                 const std::vector<std::pair<std::string, Value>>& inputs, TraceOptions options) {
  TraceState state;
  state.model = std::move(model);
  state.options = options;
  Frame frame;
  frame.graph = state.model->graph.get();
  const auto scope = std::make_shared<CallScope>();
  scope->opsets = state.model->opsets;
  frame.scope = scope;
  for (const auto& [name, v] : inputs) {
    const ValueDef* def = nullptr;
    for (const ValueDef& in : frame.graph->inputs)
      if (in.name == name) def = &in;
    if (def == nullptr) fail("{}: the model has no input '{}'", state.model->path, name);
    check_type(*def, v, state.model->path);
    frame.env[name] = into_slots(v, name, false, state);
  }
  for (const ValueDef& in : required_inputs(*frame.graph))
    if (!frame.env.contains(in.name))
      fail("{}: input '{}' ({}) is not given", state.model->path, in.name, in.type.text());
  state.frames.push_back(std::move(frame));
  return state;
}

namespace {

TraceState begin_subgraph(std::shared_ptr<const ModelDef> model, const Subgraph& subgraph,
                          const std::vector<Value>& inputs, TraceOptions options, bool keep_known) {
  TraceState state;
  state.model = std::move(model);
  state.options = options;
  Frame frame;
  frame.graph = subgraph.graph;
  frame.scope = subgraph.scope;
  const GraphDef& g = *subgraph.graph;
  if (inputs.size() != g.inputs.size() + g.captures.size())
    fail("{}: subgraph '{}' has {} inputs, {} values are given", state.model->path, g.name,
         g.inputs.size(), inputs.size() - std::min(inputs.size(), g.captures.size()));
  for (size_t i = 0; i < inputs.size(); ++i) {
    const std::string& name =
        i < g.inputs.size() ? g.inputs[i].name : g.captures[i - g.inputs.size()];
    frame.env[name] = into_slots(inputs[i], name, keep_known, state);
  }
  state.frames.push_back(std::move(frame));
  return state;
}

}  // namespace

TraceState begin(std::shared_ptr<const ModelDef> model, const Subgraph& subgraph,
                 const std::vector<Value>& inputs, TraceOptions options) {
  return begin_subgraph(std::move(model), subgraph, inputs, options, false);
}

TraceState begin_region(std::shared_ptr<const ModelDef> model, const Subgraph& subgraph,
                        const std::vector<Value>& inputs, TraceOptions options) {
  return begin_subgraph(std::move(model), subgraph, inputs, options, true);
}

}  // namespace lathe::onnx
