// lathe inspect: what a model is and what became of it.
#include <iostream>

#include "runtime/cpu.h"
#include "tools/cli.h"
#include "tools/onnx_file.h"
#include "tools/report.h"
#include "tools/stages.h"
#include "tools/training_graph.h"

namespace lathe::tools {
namespace {

struct Options {
  std::string model, inputs, stage = "graph", format = "text";
  std::vector<std::string> dims;
  bool train = false, json = false;
  TrainingChoice training;
  onnx::LoadLimits limits;
};

ModelFile load(const Options& o, const DimBinding& dims) {
  const nn::Mode mode = o.train ? nn::Mode::Training : nn::Mode::Inference;
  ModelFile file = load_model(o.model, mode, 0, dims, o.limits);
  if (o.train) file.model.graph = training_graph(file, o.training);
  return file;
}

int run(const Options& o) {
  const DimBinding dims = parse_dims(o.dims);
  const Target target = detect_cpu().target;
  const bool session = is_onnx(o.model) && !o.train;  // what may be more than one graph
  if (!o.inputs.empty() && !(o.json && session))
    throw UsageError("--inputs goes with --json of an ONNX model, without --train");
  if (!o.json) {
    std::cout << show_stage(load(o, dims), dims, o.stage, o.format, target);
    return kDone;
  }
  if (o.stage != "program") throw UsageError("--json goes with --stage program");
  const nlohmann::ordered_json json = session ? session_report(o.model, dims, o.inputs, o.limits)
                                              : program_report(load(o, dims), dims, target);
  std::cout << json.dump() << "\n";
  return kDone;
}

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  options.add("MODEL", o->model, "Model file or RUN folder").required();
  options.add("--stage", o->stage, "How far on its way through the compiler")
      .one_of({"graph", "fused", "kernels", "program"})
      .show_default();
  options.add("--format", o->format, "svg needs Graphviz")
      .one_of({"text", "dot", "svg"})
      .show_default();
  options.flag("--train", o->train, "The step of a training instead of an evaluation");
  add_training_options(options, o->training);
  options.add("--dim", o->dims, "A value for a free dimension").called("NAME=N").one_value_each();
  add_limit_options(options, o->limits);
  options.flag("--json", o->json,
               "With --stage program: its size as one JSON object; of an ONNX model also where "
               "each node runs, and what share of the time is in kernels");
  options
      .add("--inputs", o->inputs,
           "What --json runs the model on instead of random values: "
           "input_0.pb, input_1.pb, .. as beside the models of `lathe check`")
      .called("FOLDER");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kInspect = {"inspect", "Show a model at a stage of its way through the compiler",
                       "lathe inspect model.json --format svg > model.svg", setup};

}  // namespace lathe::tools
