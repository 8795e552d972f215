#include "tools/compute.h"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/model.h"
#include "ir/eval.h"
#include "passes/rebuild.h"

namespace lathe::tools {
namespace {

constexpr std::string_view kReference = "eval";

void check_feeds(const ModelFile& file, const Feeds& feeds) {
  const std::vector<GraphInput> inputs = data_inputs(file.model.graph);
  std::vector<std::string> names;
  for (const GraphInput& in : inputs) {
    names.push_back(fmt::format("{} {}", in.name, in.type.text()));
    if (!feeds.contains(in.name))
      fail("{}: input '{}' ({}) is not given; give it with --input {}=FILE.npy, or --random SEED",
           file.path, in.name, in.type.text(), in.name);
  }
  if (feeds.size() == inputs.size()) return;
  for (const auto& [name, tensor] : feeds)
    if (std::none_of(inputs.begin(), inputs.end(), [&](const auto& in) { return in.name == name; }))
      fail("{}: the model has no input '{}'; its inputs: {}", file.path, name,
           fmt::join(names, ", "));
}

std::vector<Tensor> evaluate_reference(const Graph& bound, const Feeds& weights,
                                       const Feeds& feeds) {
  std::vector<Port> ports;
  for (const GraphInput& in : bound.inputs())
    ports.push_back({in.name, in.type.dtype, in.type.shape.static_dims()});
  const std::vector<Tensor> inputs = arguments(ports, weights, feeds);
  for (size_t i = 0; i < ports.size(); ++i)
    if (inputs[i].dims() != ports[i].dims)
      fail("input '{}' is {}, expected {}", ports[i].name, inputs[i].type_text(),
           bound.inputs()[i].type.text());
  return evaluate(bound, inputs);
}

}  // namespace

void add_compute_options(OptionList& options, Compute& compute, bool reference) {
  options.add("--threads", compute.threads, "Threads (default: all this process may use)")
      .in_range(1, 4096);
  options
      .add(
          "--numerics", compute.numerics,
          "fast: products of dequantised bytes (QDQ models) are summed in integers; another result "
          "in the last bits")
      .one_of({"strict", "fast"})
      .show_default();
  std::vector<std::string> names = {"auto", "llvm", "simd", "interpreter"};
  if (reference) names.emplace_back(kReference);
  options.add("--backend", compute.backend, "What runs the kernels").one_of(names).show_default();
}

void add_wait_option(OptionList& options, Compute& compute) {
  compute.wait_compile = false;
  options.flag("--wait-compile", compute.wait_compile,
               "Compile first, instead of beginning on the portable kernels meanwhile");
}

CompileOptions compile_options(const Compute& compute, const DimBinding& dims) {
  CompileOptions o = lathe::compile_options();
  if (compute.threads > 0) o.threads = compute.threads;
  o.backend = parse_backend(compute.backend).value();
  o.dims = dims;
  o.wait_compile |= compute.wait_compile;
  if (compute.numerics == "fast") o.numerics = Numerics::Fast;
  return o;
}

std::vector<Tensor> arguments(const std::vector<Port>& ports, const Feeds& weights,
                              const Feeds& feeds) {
  std::vector<Tensor> out;
  for (const Port& port : ports) {
    const auto weight = weights.find(port.name);
    const auto feed = feeds.find(port.name);
    LATHE_ASSERT(weight != weights.end() || feed != feeds.end(), "no value for '{}'", port.name);
    out.push_back(weight != weights.end() ? weight->second : feed->second);
  }
  return out;
}

void run_model(ModelFile file, Feeds feeds, const Compute& compute, const DimBinding& given,
               const Answer& answer) {
  check_feeds(file, feeds);
  check_weights(file.model);
  DimBinding dims = given;
  for (const GraphInput& in : data_inputs(file.model.graph)) {
    Tensor& feed = feeds.at(in.name);
    feed = converted(feed, in.type.dtype);
    infer_dims(in, feed.dims(), dims);
  }
  dims = all_dims(file, dims);
  std::vector<NamedTensor> out;
  const auto add = [&](std::string name, Tensor value) {
    out.push_back({std::move(name), std::move(value)});
  };
  if (compute.backend == kReference) {
    const Graph& g = file.model.graph;
    const std::vector<Tensor> results =
        evaluate_reference(bind_dims(g, dims), file.model.weights.all(), feeds);
    for (size_t i = 0; i < results.size(); ++i) add(g.outputs()[i].name, results[i]);
    return answer(out);
  }
  const auto executable = compile(freeze(file.model), compile_options(compute, dims));
  file.model = Model();  // the executable has the weights in its own form
  const std::vector<Tensor> results = executable->run(arguments(executable->inputs(), {}, feeds));
  for (size_t i = 0; i < results.size(); ++i) add(executable->outputs()[i].name, results[i]);
  answer(out);
  executable->wait_for_kernels();
}

}  // namespace lathe::tools
