#include "tools/report.h"

#include "frontend/onnx/reader.h"
#include "passes/pipeline.h"
#include "passes/rebuild.h"
#include "tools/onnx_file.h"

namespace lathe::tools {

nlohmann::ordered_json program_report(const ModelFile& file, const DimBinding& dims,
                                      const Target& target) {
  const Program p = compile_to_program(bind_dims(file.model.graph, all_dims(file, dims)), target);
  int64_t weights = 0, constants = 0;
  for (const auto& [name, tensor] : file.model.weights) weights += tensor.bytes();
  for (const Tensor& t : p.plan.constants) constants += t.bytes();
  return {{"kernels", p.kernels.size()},
          {"arena_bytes", p.plan.arena_bytes},
          {"weight_bytes", weights},
          {"constant_bytes", constants}};
}

nlohmann::ordered_json session_report(const std::string& path, const DimBinding& dims,
                                      const onnx::LoadLimits& limits) {
  const auto model = onnx::read_model(path, limits);
  Session session(model, session_options({}));
  const OnnxInputs inputs = onnx_inputs(*model, {}, 1, dims);
  session.run(inputs);
  const double translation = session.report().translation_seconds;
  session.run(inputs);
  const Session::Report& r = session.report();
  nlohmann::ordered_json steps = nlohmann::ordered_json::object();
  for (const auto& [op, count] : r.nodes.steps) steps[op] = count;
  return {
      {"nodes", {{"folded", r.nodes.folded}, {"compiled", r.nodes.compiled}, {"steps", steps}}},
      {"stages", r.stages},
      {"kernels", r.kernels},
      {"arena_bytes", r.arena_bytes},
      {"seconds",
       {{"run", r.total_seconds}, {"kernels", r.compiled_seconds}, {"translation", translation}}}};
}

}  // namespace lathe::tools
