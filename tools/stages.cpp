#include "tools/stages.h"

#include "ir/graph_text.h"
#include "ir/kernel_text.h"
#include "passes/fuse.h"
#include "passes/pipeline.h"
#include "passes/rebuild.h"
#include "tools/drawing.h"

namespace lathe::tools {
namespace {

std::string print_kernels(const Program& p) {
  std::string out;
  for (size_t i = 0; i < p.kernels.size(); ++i)
    out += fmt::format("{}// {}\n// {}\n{}", i == 0 ? "" : "\n", p.kernels[i].label,
                       print_schedule(p.schedules[i]), print_kernel(p.kernels[i]));
  return out;
}

std::string drawn(std::string dot_text, std::string_view format) {
  return format == "svg" ? svg_of_dot(dot_text) : dot_text;
}

}  // namespace

std::string show_stage(const ModelFile& file, const DimBinding& given, std::string_view stage,
                       std::string_view format, const Target& target) {
  const Graph& g = file.model.graph;
  if (stage == "graph")
    return format == "text" ? print_graph(g, {.elide_constants = true}) : drawn(dot(g), format);
  const Graph bound = bind_dims(g, all_dims(file, given));
  if (stage == "fused") {
    const Graph optimized = optimize(bound);
    const FusionPlan plan = fuse(optimized);
    return format == "text" ? outline(optimized, plan) : drawn(dot(optimized, plan), format);
  }
  if (format != "text")
    fail("--stage {} has a text form only; --format {} goes with graph and fused", stage, format);
  const Program p = compile_to_program(bound, target);
  return stage == "kernels" ? print_kernels(p) : print_program(p);
}

}  // namespace lathe::tools
