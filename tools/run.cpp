// lathe run: one evaluation.
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "ir/base/philox.h"
#include "runtime/npz.h"
#include "tools/cli.h"
#include "tools/compute.h"
#include "tools/feeds.h"
#include "tools/onnx_file.h"

namespace lathe::tools {
namespace {

constexpr int64_t kShown = 8;

struct Options {
  std::string model, weights, out;
  std::vector<std::string> inputs, dims;
  std::optional<uint64_t> random;
  Compute compute;
  bool json = false;
  onnx::LoadLimits limits;
};

std::string values_text(const Tensor& t) {
  std::string out;
  for (int64_t i = 0; i < std::min(t.size(), kShown); ++i)
    out += fmt::format("{}{:.6g}", i == 0 ? "" : " ", t.at(i));
  return t.size() > kShown ? out + " .." : out;
}

nlohmann::json values_json(const Tensor& t) {
  nlohmann::json values = nlohmann::json::array();
  for (int64_t i = 0; i < std::min(t.size(), kShown); ++i) values.push_back(t.at(i));
  return {{"type", t.type_text()}, {"first", values}};
}

void evaluate_once(const Options& o, Feeds feeds, const Answer& answer) {
  const DimBinding dims = parse_dims(o.dims);
  if (is_onnx(o.model)) {
    if (!o.weights.empty()) fail_unsupported("{}: --weights with an ONNX model", o.model);
    return run_onnx(o.model, feeds, o.random, dims, o.compute, o.limits, answer);
  }
  ModelFile file = load_model(o.model);
  if (!o.weights.empty()) replace_weights(file, o.weights);
  if (o.random) add_random_feeds(file, dims, *o.random, feeds);
  run_model(std::move(file), std::move(feeds), o.compute, dims, answer);
}

void show(const Options& o, const std::vector<NamedTensor>& outputs) {
  if (!o.out.empty()) write_npz(o.out, outputs);
  nlohmann::ordered_json json = {{"outputs", nlohmann::ordered_json::object()}};
  for (const NamedTensor& t : outputs) {
    if (o.json) json["outputs"][t.name] = values_json(t.tensor);
    else fmt::print("{} {} {}\n", t.name, t.tensor.type_text(), values_text(t.tensor));
  }
  if (o.json) fmt::print("{}\n", json.dump());
  std::fflush(stdout);
}

int run(const Options& o) {
  evaluate_once(o, read_feeds(o.inputs), [&](const auto& outputs) { show(o, outputs); });
  return kDone;
}

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  options.add("MODEL", o->model, "Model file or RUN folder").required();
  options.add("--weights", o->weights, "Weights instead of the model's own")
      .called("FILE.safetensors");
  options.add("--input", o->inputs, "Once for each input").called("NAME=FILE.npy").one_value_each();
  options.add("--random", o->random, "Seed of random values for the inputs not given");
  options.add("--dim", o->dims, "A value for a free dimension").called("NAME=N").one_value_each();
  options.add("-o,--output", o->out, "Where all outputs are written").called("OUT.npz");
  add_compute_options(options, o->compute, true);
  add_wait_option(options, o->compute);
  add_limit_options(options, o->limits);
  options.flag("--json", o->json, "One JSON object");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kRun = {"run", "Evaluate a model once",
                   "lathe run model.keras --input image=digit.npy -o answer.npz", setup};

}  // namespace lathe::tools
