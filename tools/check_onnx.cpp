// Cases of ONNX models: inputs and outputs in messages.
#include <fmt/format.h>

#include "frontend/onnx/load.h"
#include "frontend/onnx/reader.h"
#include "frontend/onnx/table.h"
#include "tools/onnx_file.h"
#include "tools/outcome.h"

namespace lathe::tools {
namespace {

namespace fs = std::filesystem;
using onnx::Value;

std::vector<fs::path> numbered(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> out;
  for (;;) {
    const fs::path file = folder / fmt::format("{}_{}.pb", prefix, out.size());
    if (!fs::exists(file)) return out;
    out.push_back(file);
  }
}

std::string leaf_difference(const Value& got, const Value& expected, const CheckOptions& o) {
  if (got.elem != expected.elem || got.dims() != expected.dims())
    return fmt::format("is {}, expected {}", got.signature(), expected.signature());
  if (!got.is_string()) return difference(got.known.numbers, expected.known.numbers, o);
  const auto &a = *got.known.strings, &b = *expected.known.strings;
  for (size_t i = 0; i < a.size(); ++i)
    if (a[i] != b[i]) return fmt::format("differs at {}: '{}' instead of '{}'", i, a[i], b[i]);
  return "";
}

std::string value_difference(const Value& got, const Value& expected, bool contents,
                             const CheckOptions& o) {
  if (got.kind != expected.kind)
    return fmt::format("is {}, expected {}", got.signature(), expected.signature());
  if (got.is_tensor()) {
    if (contents) return leaf_difference(got, expected, o);
    return got.signature() == expected.signature()
               ? ""
               : fmt::format("is {}, expected {}", got.signature(), expected.signature());
  }
  if (got.items->size() != expected.items->size())
    return fmt::format("is {}, expected {}", got.signature(), expected.signature());
  for (size_t i = 0; i < got.items->size(); ++i)
    if (std::string d = value_difference((*got.items)[i], (*expected.items)[i], contents, o);
        !d.empty())
      return fmt::format("item {} {}", i, d);
  return "";
}

// arange(n)/n in the input's shape.
Value ramp(const onnx::ValueDef& input) {
  Dims dims;
  for (const onnx::DeclaredDim& d : input.type.dims.value()) dims.push_back(d.value.value_or(1));
  Tensor t = Tensor::empty(onnx::carrier(input.type.elem), dims);
  for (int64_t i = 0; i < t.size(); ++i)
    t.set(i, static_cast<double>(i) / static_cast<double>(t.size()));
  return Value::of(onnx::HostTensor(t));
}

// A value of a data set. Suites of before ONNX 1.13 wrote bfloat16 as uint16 of the same bits.
Value read_declared(const fs::path& file, const onnx::DeclaredType& type) {
  Value v = onnx::read_value(file.string(), type);
  const bool bits = type.kind == onnx::DeclaredType::Kind::Tensor && v.is_tensor() &&
                    type.elem == onnx::ElemType::BFloat16 && v.elem == onnx::ElemType::UInt16;
  if (!bits) return v;
  const auto owner = std::make_shared<Tensor>(v.known.numbers);
  return Value::of(onnx::HostTensor(Tensor::view(DType::bf16, owner->dims(), owner->raw(), owner)));
}

}  // namespace

OnnxInputs case_inputs(const CheckCase& c, const onnx::ModelDef& model) {
  std::vector<onnx::ValueDef> defs = required_inputs(*model.graph);
  OnnxInputs out;
  if (!fs::is_directory(c.data)) {
    for (const onnx::ValueDef& def : defs) out.emplace_back(def.name, ramp(def));
    return out;
  }
  const std::vector<fs::path> files = numbered(c.data, "input");
  if (files.size() > defs.size()) defs = model.graph->inputs;
  if (files.size() > defs.size())
    fail("{} inputs are given, the model has {}", files.size(), defs.size());
  for (size_t i = 0; i < files.size(); ++i)
    out.emplace_back(defs[i].name, read_declared(files[i], defs[i].type));
  return out;
}

Outcome check_onnx(const CheckCase& c, const CheckOptions& o) {
  const auto model = onnx::read_model(c.model.string(), o.limits);
  const auto& defs = model->graph->outputs;
  const std::vector<fs::path> files =
      fs::is_directory(c.data) ? numbered(c.data, "output") : std::vector<fs::path>{c.data};
  if (files.empty()) return {Outcome::Kind::Skipped, "no output_0.pb"};
  if (files.size() > defs.size())
    return {Outcome::Kind::Failed,
            fmt::format("{} outputs, {} are expected", defs.size(), files.size())};
  Session session(model, session_options(o.compute));
  const std::vector<Value> got = session.run(case_inputs(c, *model));
  const bool contents = !is_random(*model);
  for (size_t i = 0; i < files.size(); ++i) {
    const Value expected = read_declared(files[i], defs[i].type);
    if (const std::string d = value_difference(got[i], expected, contents, o); !d.empty())
      return {Outcome::Kind::Failed, fmt::format("output '{}' {}", defs[i].name, d)};
  }
  return {};
}

}  // namespace lathe::tools
