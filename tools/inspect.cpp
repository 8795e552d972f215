// lathe inspect: what a model is and what became of it.
#include <CLI/CLI.hpp>
#include <iostream>

#include "runtime/cpu.h"
#include "tools/cli.h"
#include "tools/stages.h"

namespace lathe::tools {
namespace {

struct Options {
  std::string model, stage = "graph", format = "text";
  std::vector<std::string> dims;
};

Action setup(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model file or RUN folder")->required();
  app.add_option("--stage", o->stage, "How far on its way through the compiler")
      ->check(CLI::IsMember({"graph", "fused", "kernels", "program"}))
      ->capture_default_str();
  app.add_option("--format", o->format, "svg needs Graphviz")
      ->check(CLI::IsMember({"text", "dot", "svg"}))
      ->capture_default_str();
  app.add_option("--dim", o->dims, "NAME=N: a value for a free dimension")->allow_extra_args(false);
  return [o] {
    const DimBinding dims = parse_dims(o->dims);
    std::cout << show_stage(load_model(o->model, nn::Mode::Inference, 0, dims), dims, o->stage,
                            o->format, detect_cpu().target);
    return kDone;
  };
}

}  // namespace

const Verb kInspect = {"inspect", "Show a model at a stage of its way through the compiler",
                       "lathe inspect model.json --format svg > model.svg", setup};

}  // namespace lathe::tools
