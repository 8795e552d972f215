// Gradients of real ONNX models with respect to their weights and inputs, against central
// differences (tools/gradients.h says of what and where), and models that have none.
#include <doctest/doctest.h>

#include <filesystem>

#include "frontend/onnx/reader.h"
#include "tests/support/expect_error.h"
#include "tests/support/paths.h"
#include "tools/data_set.h"
#include "tools/gradients.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;

tools::CheckCase first_case(const std::string& model) {
  const fs::path folder = testing::shared_path("onnx/models/" + model);
  return {folder / "model.onnx", folder / "test_data_set_0"};
}

bool there(const tools::CheckCase& c) {
  if (fs::exists(c.model)) return true;
  MESSAGE("skipped: " << c.model.string() << " is not there");
  return false;
}

tools::CheckOptions on_simd() {
  tools::CheckOptions o;
  o.compute.backend = "simd";
  o.compute.threads = 1;
  return o;
}

TEST_CASE("gradients of real models agree with central differences") {
  for (const char* model :
       {"classic__cnn_mnist_pytorch", "classic__mnist_cntk", "classic__cntk_lstm_bidirectional",
        "classic__lstm_loop_tiny", "dtln__model_1", "gtcrn__gtcrn_simple", "silero-vad__v1_micro",
        "face-detectors__yunet_n_dynamic", "fsmn-vad__fsmnvad-online", "classic__gpt2_past_tiny",
        "ultraface__version-RFB-320"}) {
    CAPTURE(model);
    const tools::CheckCase c = first_case(model);
    if (!there(c)) continue;
    const auto loaded = onnx::read_model(c.model.string());
    const tools::OnnxInputs inputs = tools::recorded_inputs(c.data, *loaded);
    DimBinding dims;
    onnx::infer_dims(*loaded, inputs, dims);
    tools::Feeds values;
    for (const auto& [name, value] : inputs) values[name] = value.known.numbers;
    const tools::GradientCheck found =
        tools::check_gradients(onnx::load_graph(loaded, dims, true), values, on_simd().compute);
    REQUIRE(found.along.size() == 3);
    CHECK(found.along[0].of == "weights");
    CHECK(found.along[2].of == "inputs");
    for (const tools::GradientCheck::Along& a : found.along) {
      CAPTURE(a.of);
      CAPTURE(a.slope);
      CAPTURE(a.difference);
      CHECK(a.slope != 0);
      CHECK(a.error() < 1e-4);
    }
    CHECK(found.rounding < 1e-3);
  }
}

TEST_CASE("a node without gradient is named before anything runs") {
  const auto refused = [](const char* model, std::initializer_list<std::string_view> words,
                          ErrorKind kind) {
    const tools::CheckCase c = first_case(model);
    if (there(c)) expect_error([&] { tools::check_case_gradients(c, on_simd()); }, words, kind);
  };
  refused("int8__mnist_cnn_qdq_u8s8_pc", {"model.onnx", "node '", "integers have no derivative"},
          ErrorKind::User);
  refused("yolov8-nms__nms-yolov8", {"model.onnx", "NonMaxSuppression", "only a run can tell"},
          ErrorKind::Unsupported);
}

}  // namespace
}  // namespace lathe
