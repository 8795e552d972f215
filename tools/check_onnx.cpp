// Cases of ONNX models: inputs and outputs in messages.
#include <fmt/format.h>

#include "frontend/onnx/reader.h"
#include "frontend/onnx/table.h"
#include "tools/data_set.h"
#include "tools/outcome.h"

namespace lathe::tools {
namespace {

namespace fs = std::filesystem;
using onnx::Value;

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

}  // namespace

Outcome check_onnx(const CheckCase& c, const CheckOptions& o) {
  const auto model = onnx::read_model(c.model.string(), o.limits);
  const auto& defs = model->graph->outputs;
  const std::vector<fs::path> files =
      fs::is_directory(c.data) ? data_files(c.data, "output") : std::vector<fs::path>{c.data};
  if (files.empty()) return {Outcome::Kind::Skipped, "no output_0.pb"};
  if (files.size() > defs.size())
    return {Outcome::Kind::Failed,
            fmt::format("{} outputs, {} are expected", defs.size(), files.size())};
  Session session(model, session_options(o.compute));
  const std::vector<Value> got = session.run(recorded_inputs(c.data, *model));
  const bool contents = !is_random(*model);
  for (size_t i = 0; i < files.size(); ++i) {
    const Value expected = read_recorded(files[i], defs[i].type);
    if (const std::string d = value_difference(got[i], expected, contents, o); !d.empty())
      return {Outcome::Kind::Failed, fmt::format("output '{}' {}", defs[i].name, d)};
  }
  return {};
}

}  // namespace lathe::tools
