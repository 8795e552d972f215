#include "frontend/onnx/model.h"

#include <fmt/format.h>

#include <algorithm>

namespace lathe::onnx {

std::string_view kind_name(AttributeDef::Kind kind) {
  constexpr std::string_view kNames[] = {"undefined",      "float",   "int",    "string",
                                         "tensor",         "graph",   "floats", "ints",
                                         "strings",        "tensors", "graphs", "sparse tensor",
                                         "sparse tensors", "type",    "types"};
  return kNames[static_cast<size_t>(kind)];
}

std::string DeclaredType::text() const {
  switch (kind) {
    case Kind::None: return "a value of any type";
    case Kind::Tensor: break;
    case Kind::Sequence: return fmt::format("sequence({})", element ? element->text() : "");
    case Kind::Optional: return fmt::format("optional({})", element ? element->text() : "");
    case Kind::Map: return fmt::format("map({}, {})", name(elem), element ? element->text() : "");
    case Kind::Sparse: return fmt::format("sparse {}", name(elem));
  }
  if (!dims) return fmt::format("{}[..]", name(elem));
  std::vector<std::string> texts;
  for (const DeclaredDim& d : *dims)
    texts.push_back(d.value ? fmt::format("{}", *d.value) : d.symbol.empty() ? "?" : d.symbol);
  return fmt::format("{}[{}]", name(elem), fmt::join(texts, ","));
}

const AttributeDef* NodeDef::find(std::string_view attribute) const {
  const auto it = std::find_if(attributes.begin(), attributes.end(),
                               [&](const AttributeDef& a) { return a.name == attribute; });
  return it == attributes.end() ? nullptr : &*it;
}

const FunctionDef* ModelDef::find_function(const NodeDef& node) const {
  for (const FunctionDef& f : functions)
    if (f.domain == node.domain && f.name == node.op && f.overload == node.overload) return &f;
  return nullptr;
}

std::vector<ValueDef> required_inputs(const GraphDef& graph) {
  std::vector<ValueDef> out;
  for (const ValueDef& in : graph.inputs)
    if (std::none_of(graph.initializers.begin(), graph.initializers.end(),
                     [&](const auto& i) { return i.first == in.name; }))
      out.push_back(in);
  return out;
}

}  // namespace lathe::onnx
