// Real models and those of the suite's light set: recorded outputs, and batches of one.
#include <doctest/doctest.h>

#include <filesystem>

#include "frontend/onnx/reader.h"
#include "ir/base/gather.h"
#include "tests/support/paths.h"
#include "tools/data_set.h"
#include "tools/outcome.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using onnx::Value;

tools::CheckOptions on_simd() {
  tools::CheckOptions o;
  o.compute.backend = "simd";
  return o;
}

bool there(const fs::path& path) {
  if (fs::exists(path)) return true;
  MESSAGE("skipped: " << path.string() << " is not there");
  return false;
}

void check_passes(const tools::CheckCase& c) {
  CAPTURE(c.name());
  const tools::Outcome outcome = tools::check_onnx(c, on_simd());
  CHECK_MESSAGE(outcome.kind == tools::Outcome::Kind::Passed, outcome.reason);
}

TEST_CASE("25 real models give their recorded outputs") {
  const fs::path root = testing::shared_path("onnx/models");
  if (!there(root)) return;
  int models = 0;
  for (const fs::directory_entry& model : fs::directory_iterator(root)) {
    if (!model.is_directory()) continue;
    ++models;
    for (const fs::directory_entry& e : fs::directory_iterator(model))
      if (e.is_directory()) check_passes({model.path() / "model.onnx", e.path()});
  }
  CHECK(models == 25);
}

TEST_CASE("the four light models give their recorded outputs for ramps") {
  const fs::path root = testing::shared_path("onnx/conformance/light");
  if (!there(root)) return;
  for (const std::string name : {"inception_v1", "resnet50", "shufflenet", "squeezenet"})
    check_passes({root / ("light_" + name + ".onnx"), root / ("light_" + name + "_output_0.pb")});
}

// Index 0 of an axis, which stays.
Tensor first(const Tensor& t, size_t axis) {
  Dims dims = t.dims();
  dims[axis] = 1;
  return gather_strided(t, dims, row_major_strides(t.dims()));
}

// The axis of a declared type that bears the symbol; -1 where none does.
int64_t axis_of(const onnx::DeclaredType& type, const std::string& symbol) {
  for (size_t i = 0; i < type.dims.value().size(); ++i)
    if ((*type.dims)[i].symbol == symbol) return static_cast<int64_t>(i);
  return -1;
}

TEST_CASE("a batch of one gives what it gives among others, where batches are recorded") {
  struct Batched {
    const char *model, *data, *symbol;
  };
  for (const Batched& b :
       {Batched{"classic__bert_toy_optimized", "test_data_set_0", "batch"},
        {"classic__gpt2_past_tiny", "test_data_set_0", "batch_size"},
        {"face-detectors__yunet_n_dynamic", "test_data_set_1", "batch"},
        {"magika__standard_v2_1", "test_data_set_1", "unk__132"},
        {"ppocr__ch_ppocr_mobile_v2.0_cls_infer", "test_data_set_1", "p2o.DynamicDimension.0"}}) {
    CAPTURE(b.model);
    const fs::path folder = testing::shared_path("onnx/models/" + std::string(b.model));
    if (!there(folder)) continue;
    const tools::CheckCase c{folder / "model.onnx", folder / b.data};
    const auto model = onnx::read_model(c.model.string());
    const tools::OnnxInputs all = tools::recorded_inputs(c.data, *model);
    tools::OnnxInputs one = all;
    for (size_t i = 0; i < one.size(); ++i) {
      const int64_t axis = axis_of(model->graph->inputs[i].type, b.symbol);
      REQUIRE(axis >= 0);
      const onnx::HostTensor& t = all[i].second.known;
      REQUIRE(t.dims()[static_cast<size_t>(axis)] > 1);
      one[i].second =
          Value::of(onnx::HostTensor(t.elem, first(t.numbers, static_cast<size_t>(axis))));
    }
    Session session(model, tools::session_options(on_simd().compute));
    const std::vector<Value> of_all = session.run(all), of_one = session.run(one);
    for (size_t k = 0; k < of_one.size(); ++k) {
      const auto& [name, type] = model->graph->outputs[k];
      CAPTURE(name);
      const Dims large = of_all[k].dims(), small = of_one[k].dims();
      size_t axis = 0;
      while (axis < large.size() && large[axis] == small[axis]) ++axis;
      REQUIRE(axis < large.size());
      const Tensor got = of_one[k].known.numbers;
      CHECK(identical(first(of_all[k].known.numbers, axis), got));  // to the bit
      const Value recorded =
          onnx::read_value((c.data / fmt::format("output_{}.pb", k)).string(), type);
      CHECK(tools::difference(got, first(recorded.known.numbers, axis), on_simd()) == "");
    }
  }
}

}  // namespace
}  // namespace lathe
