// lathe bench: how fast a model runs here, and how far that is from the machine's roof.
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "frontend/onnx/reader.h"
#include "runtime/cpu.h"
#include "runtime/roof.h"
#include "tools/classifier.h"
#include "tools/cli.h"
#include "tools/feeds.h"
#include "tools/onnx_file.h"
#include "tools/profile.h"
#include "tools/training_graph.h"
#include "tools/work.h"

namespace lathe::tools {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLeastRuns = 5, kMostRuns = 1'000'000;
constexpr size_t kLosses = 5;  // reported of a training
constexpr uint64_t kSeed = 1;

struct Options {
  std::string model, weights;
  TrainingChoice training;
  std::vector<std::string> inputs, dims;
  DimBinding given;  // what `dims` say; of an ONNX model also what the inputs say
  double min_time = 1;
  bool train = false, profile = false, json = false;
  Compute compute;
  onnx::LoadLimits limits;
};

struct Measured {
  double median_ms = 0, p95_ms = 0, compile_ms = 0, first_result_ms = 0;
  size_t runs = 0;
  int threads = 0;
  std::string backend;
  std::vector<double> losses;  // of the first steps
  std::optional<Work> work;    // not counted where the model is more than one graph
  Roof roof;
  std::optional<Profile> profile;
  int64_t peak_bytes = 0;

  double gflops() const { return work->flops / median_ms / 1e6; }  // precondition: counted
};

double milliseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return int64_t{usage.ru_maxrss} * 1024;
}

// The graph that is measured, and a value for each of its inputs.
struct Subject {
  Graph graph;
  DimBinding dims;
  Feeds values;
};

ModelFile load(const Options& o, nn::Mode mode) {
  ModelFile file = load_model(o.model, mode, kSeed, o.given, o.limits);
  if (!o.weights.empty()) replace_weights(file, o.weights);
  return file;
}

// What --input gives, and random values for the model's other inputs. `graph` is what runs: the
// feeds are converted to its inputs' dtypes.
Feeds given_feeds(const Options& o, const ModelFile& file, const Graph& graph) {
  Feeds feeds = read_feeds(o.inputs);
  std::vector<std::string> names;
  for (const GraphInput& in : data_inputs(graph)) {
    names.push_back(in.name);
    if (const auto it = feeds.find(in.name); it != feeds.end())
      it->second = converted(it->second, in.type.dtype);
  }
  for (const auto& [name, tensor] : feeds)
    if (std::find(names.begin(), names.end(), name) == names.end())
      fail("{}: there is no input '{}'; there are: {}", o.model, name, fmt::join(names, ", "));
  add_random_feeds(file, o.given, kSeed, feeds);
  return feeds;
}

// The values of the model's free dims: those of --dim, else of the feeds.
DimBinding bound_dims(const Options& o, const ModelFile& file, const Feeds& feeds) {
  DimBinding dims = o.given;
  for (const GraphInput& in : data_inputs(file.model.graph))
    infer_dims(in, feeds.at(in.name).dims(), dims);
  return all_dims(file, dims);
}

Subject inference_subject(const Options& o) {
  const ModelFile file = load(o, nn::Mode::Inference);
  Feeds feeds = given_feeds(o, file, file.model.graph);
  return {freeze(file.model), bound_dims(o, file, feeds), std::move(feeds)};
}

Subject training_subject(const Options& o) {
  const ModelFile file = load(o, nn::Mode::Training);
  Subject s{training_graph(file, o.training), {}, {}};
  Feeds feeds = given_feeds(o, file, s.graph);
  s.dims = bound_dims(o, file, feeds);
  for (const auto& [name, tensor] : file.model.weights.all()) s.values[name] = tensor.clone();
  s.values.merge(feeds);
  s.values.emplace(kLearningRateInput, Tensor::scalar(1e-3f));
  for (const GraphInput& in : s.graph.inputs())
    if (!s.values.contains(in.name))
      s.values[in.name] = Tensor::zeros(in.type.dtype, in.type.shape.bind(s.dims).static_dims());
  return s;
}

double percentile(const std::vector<double>& sorted, double share) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<size_t>(share * last + 0.5)];
}

void time_runs(const std::function<void()>& run, double min_seconds, Measured& m) {
  std::vector<double> times;
  const Clock::time_point start = Clock::now();
  while (times.size() < kLeastRuns ||
         (milliseconds_since(start) < min_seconds * 1e3 && times.size() < kMostRuns)) {
    const Clock::time_point begin = Clock::now();
    run();
    times.push_back(milliseconds_since(begin));
  }
  std::sort(times.begin(), times.end());
  m.median_ms = percentile(times, 0.5);
  m.p95_ms = percentile(times, 0.95);
  m.runs = times.size();
}

// A model that is more than one graph, through its session.
Measured measure_session(const Options& o, const std::shared_ptr<const onnx::ModelDef>& model) {
  if (o.profile)
    fail_unsupported(
        "{}: --profile; the model is more than one graph, see `lathe inspect {} "
        "--stage program --json`",
        o.model, o.model);
  Measured m;
  const Clock::time_point start = Clock::now();
  SessionOptions options = session_options(o.compute);
  options.compile.pool = std::make_shared<ThreadPool>(options.compile.threads);
  m.threads = options.compile.threads;
  m.backend =
      name(options.compile.backend == Backend::Auto ? Backend::Llvm : options.compile.backend);
  options.compile.on_fallback = [&m](const Fallback& f) {
    m.backend = name(f.to);
    warn_of_fallback(f);
  };
  Session session(model, options);
  const OnnxInputs inputs = onnx_inputs(*model, read_feeds(o.inputs), kSeed, o.given);
  session.run(inputs);
  m.first_result_ms = milliseconds_since(start);
  m.compile_ms = session.report().translation_seconds * 1e3;
  time_runs([&] { session.run(inputs); }, o.min_time, m);
  m.peak_bytes = peak_memory();
  m.roof = measure_roof(*options.compile.pool, m.threads, options.compile.target.isa);
  return m;
}

Measured measure(Options o) {
  o.given = parse_dims(o.dims);
  if (is_onnx(o.model)) {
    const auto model = onnx::read_model(o.model, o.limits);
    Feeds feeds = read_feeds(o.inputs);
    if (o.train)  // others are inputs of the step
      std::erase_if(feeds, [&](const auto& feed) {
        return std::ranges::none_of(model->graph->inputs,
                                    [&](const auto& in) { return in.name == feed.first; });
      });
    onnx::infer_dims(*model, onnx_inputs(*model, feeds, {}, {}), o.given);
    if (!o.train && !onnx::is_one_graph(model, onnx_dims(*model, o.given)))
      return measure_session(o, model);
  }
  Measured m;
  const Clock::time_point start = Clock::now();
  Subject s = o.train ? training_subject(o) : inference_subject(o);
  CompileOptions options = shared_options(o.compute, s.dims);
  m.threads = options.threads;
  m.backend = name(options.backend == Backend::Auto ? Backend::Llvm : options.backend);
  options.on_fallback = [&m](const Fallback& f) {
    m.backend = name(f.to);
    warn_of_fallback(f);
  };
  const Clock::time_point compile_start = Clock::now();
  const Program program = compile_program(s.graph, options);
  const auto executable = make_executable(program, options);
  s.graph = Graph();  // with literals that the program has in its own form
  m.compile_ms = milliseconds_since(compile_start);
  const std::vector<Tensor> inputs = arguments(executable->inputs(), s.values, {});
  const int loss = o.train ? executable->find_output(kLossOutput) : -1;
  const auto run = [&] {
    const std::vector<Tensor> results = executable->run(inputs);
    if (loss >= 0 && m.losses.size() < kLosses)
      m.losses.push_back(results[static_cast<size_t>(loss)].at(0));
  };
  run();
  m.first_result_ms = milliseconds_since(start);
  time_runs(run, o.min_time, m);
  if (o.profile) m.profile = profile_runs(program, *executable, inputs, o.min_time);
  m.work = count_work(program);
  m.peak_bytes = peak_memory();  // before the roof's own arrays
  m.roof = measure_roof(*options.pool, m.threads, options.target.isa);
  return m;
}

void print_json(const Options& o, const Measured& m) {
  nlohmann::ordered_json json = {{"median_ms", m.median_ms}, {"p95_ms", m.p95_ms}};
  if (m.work) {
    json["gflops"] = m.gflops();
    json["roof_share"] = m.gflops() / m.roof.gflops;
    json["gbytes_per_s"] = m.work->bytes / m.median_ms / 1e6;
    json["flops"] = m.work->flops;
  }
  json.update({{"compile_ms", m.compile_ms},
               {"first_result_ms", m.first_result_ms},
               {"peak_bytes", m.peak_bytes},
               {"threads", m.threads},
               {"backend", m.backend},
               {"runs", m.runs},
               {"roof_gflops", m.roof.gflops},
               {"train", o.train}});
  if (o.train) json["losses"] = m.losses;
  if (m.profile) json["profile"] = profile_json(*m.profile);
  fmt::print("{}\n", json.dump());
}

void print_text(const Options& o, const Measured& m) {
  fmt::print("latency       {:.3f} ms median, {:.3f} ms p95, {} runs\n", m.median_ms, m.p95_ms,
             m.runs);
  if (m.work) {
    fmt::print("arithmetic    {:.2f} GFLOP/s, {:.1f} % of the roof of {:.1f}\n", m.gflops(),
               100 * m.gflops() / m.roof.gflops, m.roof.gflops);
    fmt::print("data          {:.2f} GB/s of inputs, weights and outputs; memory gives {:.1f}\n",
               m.work->bytes / m.median_ms / 1e6, m.roof.read_gbs);
  }
  fmt::print("compilation   {:.1f} ms; first result after {:.1f} ms\n", m.compile_ms,
             m.first_result_ms);
  fmt::print("peak memory   {:.1f} MiB\n", static_cast<double>(m.peak_bytes) / (1 << 20));
  fmt::print("threads       {}, backend {}\n", m.threads, m.backend);
  if (o.train) fmt::print("losses        {:.6f} in the first steps\n", fmt::join(m.losses, ", "));
  if (m.profile) fmt::print("\n{}", profile_text(*m.profile));
}

int run(const Options& o) {
  const Measured m = measure(o);
  (o.json ? print_json : print_text)(o, m);
  return kDone;
}

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  options.add("MODEL", o->model, "Model file or RUN folder").required();
  options.add("--weights", o->weights, "Weights instead of the model's own")
      .called("FILE.safetensors");
  options
      .add("--input", o->inputs,
           "Once for each input that is not to be random; with --train also target and "
           "learning_rate")
      .called("NAME=FILE.npy")
      .one_value_each();
  options.add("--dim", o->dims, "A value for a free dimension").called("NAME=N").one_value_each();
  options.add("--min-time", o->min_time, "Seconds to measure for, at least")
      .in_range(0.0, 3600.0)
      .show_default();
  options.flag("--train", o->train, "One step of training instead of one evaluation");
  add_training_options(options, o->training);
  add_compute_options(options, o->compute);
  add_limit_options(options, o->limits);
  options.flag("--profile", o->profile,
               "Then as many seconds again with the clock on every kernel");
  options.flag("--json", o->json, "One JSON object");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kBench = {"bench", "Latency, throughput and share of the machine's roof",
                     "lathe bench model.keras --dim batch=32 --dim length=100 --threads 2 --json",
                     setup};

}  // namespace lathe::tools
