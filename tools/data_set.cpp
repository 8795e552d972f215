#include "tools/data_set.h"

#include <fmt/format.h>

#include "frontend/onnx/reader.h"

namespace lathe::tools {

namespace fs = std::filesystem;
using onnx::Value;

std::vector<fs::path> data_files(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> out;
  for (;;) {
    const fs::path file = folder / fmt::format("{}_{}.pb", prefix, out.size());
    if (!fs::exists(file)) return out;
    out.push_back(file);
  }
}

Value read_recorded(const fs::path& file, const onnx::DeclaredType& type) {
  Value v = onnx::read_value(file.string(), type);
  const bool bits = type.kind == onnx::DeclaredType::Kind::Tensor && v.is_tensor() &&
                    type.elem == onnx::ElemType::BFloat16 && v.elem == onnx::ElemType::UInt16;
  if (!bits) return v;
  const auto owner = std::make_shared<Tensor>(v.known.numbers);
  return Value::of(onnx::HostTensor(Tensor::view(DType::bf16, owner->dims(), owner->raw(), owner)));
}

namespace {

Value ramp(const onnx::ValueDef& input) {
  Dims dims;
  for (const onnx::DeclaredDim& d : input.type.dims.value()) dims.push_back(d.value.value_or(1));
  Tensor t = Tensor::empty(onnx::carrier(input.type.elem), dims);
  for (int64_t i = 0; i < t.size(); ++i)
    t.set(i, static_cast<double>(i) / static_cast<double>(t.size()));
  return Value::of(onnx::HostTensor(t));
}

}  // namespace

OnnxInputs recorded_inputs(const fs::path& data, const onnx::ModelDef& model) {
  std::vector<onnx::ValueDef> defs = required_inputs(*model.graph);
  OnnxInputs out;
  if (!fs::is_directory(data)) {
    for (const onnx::ValueDef& def : defs) out.emplace_back(def.name, ramp(def));
    return out;
  }
  const std::vector<fs::path> files = data_files(data, "input");
  if (files.size() > defs.size()) defs = model.graph->inputs;
  if (files.size() > defs.size())
    fail("{} inputs are given, the model has {}", files.size(), defs.size());
  for (size_t i = 0; i < files.size(); ++i)
    out.emplace_back(defs[i].name, read_recorded(files[i], defs[i].type));
  return out;
}

}  // namespace lathe::tools
