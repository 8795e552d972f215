#include "tools/onnx_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/onnx/convert.h"
#include "frontend/onnx/reader.h"
#include "tools/feeds.h"

namespace lathe::tools {

bool is_onnx(const std::string& path) { return path.ends_with(".onnx"); }

void add_limit_options(OptionList& options, onnx::LoadLimits& limits) {
  options
      .add("--max-nodes", limits.nodes,
           "Nodes that an ONNX model may unfold to, functions and bodies counted where they are "
           "used")
      .positive()
      .show_default();
  options
      .add("--max-elements", limits.elements,
           "Elements that may be computed while an ONNX model is loaded")
      .positive()
      .show_default();
}

SessionOptions session_options(const Compute& compute) {
  SessionOptions o;
  o.evaluate = compute.backend == "eval";
  if (!o.evaluate) o.compile = compile_options(compute);
  return o;
}

namespace {

// What exporters call it: batch, batch_size, BatchSize, N.
bool is_batch(std::string symbol) {
  std::transform(symbol.begin(), symbol.end(), symbol.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return symbol.starts_with("batch") || symbol == "n";
}

}  // namespace

DimBinding onnx_dims(const onnx::ModelDef& model, const DimBinding& given) {
  DimBinding out;
  const std::vector<std::string> symbols = onnx::free_dims(model);
  for (const std::string& symbol : symbols) {
    if (const auto it = given.find(symbol); it != given.end()) out[symbol] = it->second;
    else if (is_batch(symbol)) out[symbol] = 1;
    else
      fail("{}: the dimension '{}' is free; give it with --dim {}=N", model.path, symbol, symbol);
  }
  for (const auto& [name, value] : given)
    if (!out.contains(name))
      fail("{}: the model has no free dimension '{}'; it has: {}", model.path, name,
           symbols.empty() ? "none" : fmt::format("{}", fmt::join(symbols, ", ")));
  return out;
}

Model load_onnx_graph(const std::string& path, const DimBinding& dims, bool trained,
                      const onnx::LoadLimits& limits) {
  const auto model = onnx::read_model(path, limits);
  return onnx::load_graph(model, onnx_dims(*model, dims), trained);
}

namespace {

std::vector<NamedTensor> flattened(const onnx::GraphDef& graph,
                                   const std::vector<onnx::Value>& values) {
  std::vector<NamedTensor> out;
  for (size_t i = 0; i < values.size(); ++i) {
    onnx::Value v = values[i];
    int part = 0;
    onnx::for_each_leaf(v, [&](onnx::Value& leaf) {
      const std::string name = v.is_tensor() ? graph.outputs[i].name
                                             : fmt::format("{}/{}", graph.outputs[i].name, part++);
      if (leaf.is_string())
        fail_unsupported("output '{}' holds strings, which .npy files and this verb do not", name);
      out.push_back({name, leaf.known.numbers});
    });
  }
  return out;
}

}  // namespace

OnnxInputs onnx_inputs(const onnx::ModelDef& model, const Feeds& feeds,
                       std::optional<uint64_t> random, const DimBinding& given) {
  OnnxInputs inputs;
  for (const onnx::ValueDef& def : model.graph->inputs) {
    const auto it = feeds.find(def.name);
    if (it == feeds.end()) continue;
    inputs.emplace_back(def.name, onnx::Value::of(onnx::convert(it->second, def.type.elem)));
  }
  for (const auto& [name, tensor] : feeds)
    if (std::none_of(inputs.begin(), inputs.end(),
                     [&](const auto& in) { return in.first == name; }))
      fail("{}: the model has no input '{}'", model.path, name);
  if (!random) return inputs;
  DimBinding dims = given;
  onnx::infer_dims(model, inputs, dims);
  for (auto& [name, type] : onnx::typed_inputs(model, onnx_dims(model, dims)))
    if (!feeds.contains(name)) try {
        inputs.emplace_back(
            name,
            onnx::Value::of(onnx::HostTensor(
                type.elem, random_tensor(onnx::carrier(type.elem), type.dims(), *random, name))));
      } catch (const Error& e) {
        throw Error(e.kind(), fmt::format("{}: input '{}': {}", model.path, name, e.what()));
      }
  return inputs;
}

void run_onnx(const std::string& path, const Feeds& feeds, std::optional<uint64_t> random,
              const DimBinding& dims, const Compute& compute, const onnx::LoadLimits& limits,
              const Answer& answer) {
  const auto model = onnx::read_model(path, limits);
  Session session(model, session_options(compute));
  answer(flattened(*model->graph, session.run(onnx_inputs(*model, feeds, random, dims))));
  session.wait_for_kernels();
}

}  // namespace lathe::tools
