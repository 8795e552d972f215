// lathe inspect: what a model is and what became of it.
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

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  options.add("MODEL", o->model, "Model file or RUN folder").required();
  options.add("--stage", o->stage, "How far on its way through the compiler")
      .one_of({"graph", "fused", "kernels", "program"})
      .show_default();
  options.add("--format", o->format, "svg needs Graphviz")
      .one_of({"text", "dot", "svg"})
      .show_default();
  options.add("--dim", o->dims, "A value for a free dimension").called("NAME=N").one_value_each();
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
