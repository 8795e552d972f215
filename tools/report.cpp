#include "tools/report.h"

#include <algorithm>

#include "frontend/onnx/reader.h"
#include "passes/pipeline.h"
#include "passes/rebuild.h"
#include "runtime/cpu.h"
#include "tools/data_set.h"

namespace lathe::tools {

nlohmann::ordered_json program_report(const ModelFile& file, const DimBinding& dims,
                                      const Target& target) {
  const Program p = compile_to_program(bind_dims(file.model.graph, all_dims(file, dims)), target);
  int64_t weights = 0, constants = 0;
  for (const GraphInput& in : file.model.graph.inputs())
    if (in.role != InputRole::Data)
      weights += byte_size(in.type.dtype) * element_count(in.type.shape.static_dims());
  for (const Tensor& t : p.plan.constants) constants += t.bytes();
  return {{"kernels", p.kernels.size()},
          {"arena_bytes", temporary_bytes(p.plan, thread_count())},
          {"weight_bytes", weights},
          {"constant_bytes", constants}};
}

namespace {

constexpr size_t kLeastRuns = 5, kMostRuns = 200;
constexpr double kLeastSeconds = 0.2;

// Of a run with everything compiled, the median of several.
Session::Report usual_run(Session& session, const OnnxInputs& inputs, size_t& runs) {
  std::vector<Session::Report> all;
  double seconds = 0;
  while (all.size() < kLeastRuns || (seconds < kLeastSeconds && all.size() < kMostRuns)) {
    session.run(inputs);
    all.push_back(session.report());
    seconds += all.back().total_seconds;
  }
  std::sort(all.begin(), all.end(), [](const Session::Report& a, const Session::Report& b) {
    return a.total_seconds < b.total_seconds;
  });
  runs = all.size();
  return all[runs / 2];
}

}  // namespace

nlohmann::ordered_json session_report(const std::string& path, const DimBinding& dims,
                                      const std::string& data, const onnx::LoadLimits& limits) {
  const auto model = onnx::read_model(path, limits);
  Session session(model, session_options({}));
  const OnnxInputs inputs =
      data.empty() ? onnx_inputs(*model, {}, 1, dims) : recorded_inputs(data, *model);
  session.run(inputs);
  const double translation = session.report().translation_seconds;
  size_t runs = 0;
  const Session::Report r = usual_run(session, inputs, runs);
  return {
      {"nodes",
       {{"folded", r.nodes.folded},
        {"compiled", r.nodes.compiled},
        {"steps", r.nodes.steps},
        {"steps_on_floats", r.nodes.steps_on_floats}}},
      {"stages", r.stages},
      {"kernels", r.kernels},
      {"arena_bytes", r.arena_bytes},
      {"seconds",
       {{"run", r.total_seconds}, {"kernels", r.compiled_seconds}, {"translation", translation}}},
      {"runs", runs}};
}

}  // namespace lathe::tools
