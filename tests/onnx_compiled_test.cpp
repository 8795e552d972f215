// The compiled path is the path: where the nodes of the 25 real models run.
#include <doctest/doctest.h>

#include <filesystem>

#include "frontend/onnx/reader.h"
#include "session/session.h"
#include "tests/support/paths.h"
#include "tools/data_set.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

// Nodes of the main graph; none where nodes of functions or subgraphs are counted in their stead.
std::optional<int64_t> plain_nodes(const onnx::ModelDef& model) {
  for (const onnx::NodeDef& node : model.graph->nodes) {
    if (model.find_function(node) != nullptr) return std::nullopt;
    for (const onnx::AttributeDef& a : node.attributes)
      if (a.graph) return std::nullopt;
  }
  return std::ssize(model.graph->nodes);
}

int64_t total(const std::map<std::string, int64_t>& steps) {
  int64_t sum = 0;
  for (const auto& [op, n] : steps) sum += n;
  return sum;
}

TEST_CASE("every node of the real models is counted, and no host step computes with floats") {
  const fs::path root = testing::shared_path("onnx/models");
  if (!fs::exists(root)) {
    MESSAGE("skipped: " << root.string() << " is not there");
    return;
  }
  SessionOptions options;
  options.compile = compile_options();
  options.compile.backend = Backend::Simd;
  int models = 0;
  for (const fs::directory_entry& folder : fs::directory_iterator(root)) {
    const fs::path file = folder.path() / "model.onnx";
    CAPTURE(file.string());
    REQUIRE(fs::exists(file));
    ++models;
    const auto model = onnx::read_model(file.string());
    const std::optional<int64_t> expected = plain_nodes(*model);
    Session session(model, options);
    for (const fs::directory_entry& data : fs::directory_iterator(folder.path())) {
      if (!data.is_directory()) continue;
      CAPTURE(data.path().string());
      const tools::OnnxInputs inputs = tools::recorded_inputs(data.path(), *model);
      session.run(inputs);
      const onnx::NodeCounts first = session.report().nodes;
      CHECK(first.steps_on_floats.empty());
      const int64_t counted = first.folded + first.compiled + total(first.steps);
      if (expected) CHECK(counted == *expected);
      CHECK(counted > 0);
      session.run(inputs);
      const Session::Report& again = session.report();
      CHECK(again.nodes.folded == first.folded);
      CHECK(again.nodes.compiled == first.compiled);
      CHECK(again.nodes.steps == first.steps);
      CHECK(again.translation_seconds == 0);  // nothing is compiled twice
      CHECK(again.compiled_seconds <= again.total_seconds);
    }
  }
  CHECK(models == 25);
}

}  // namespace
}  // namespace lathe
