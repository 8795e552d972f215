// lathe check: models against the outputs recorded beside them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "runtime/files.h"
#include "runtime/npy.h"
#include "tools/cli.h"
#include "tools/gradients.h"
#include "tools/onnx_file.h"
#include "tools/outcome.h"

namespace lathe::tools {

std::string difference(const Tensor& got, const Tensor& expected, const CheckOptions& o) {
  if (got.dims() != expected.dims())
    return fmt::format("is {}, expected {}", got.type_text(), expected.type_text());
  int64_t wrong = 0, first = -1;
  const bool exact = !is_float(got.dtype());
  for (int64_t i = 0; i < got.size(); ++i) {
    const double a = got.at(i), b = expected.at(i);
    const bool equal = a == b || (std::isnan(a) && std::isnan(b));
    const bool close = !exact && std::abs(a - b) <= o.atol + o.rtol * std::abs(b);
    if (equal || close) continue;
    if (wrong++ == 0) first = i;
  }
  if (wrong == 0) return "";
  return fmt::format("{} of {} elements differ, first at {}: {} instead of {}", wrong, got.size(),
                     first, got.at(first), expected.at(first));
}

namespace {

namespace fs = std::filesystem;

using Case = CheckCase;

struct Options : CheckOptions {
  std::vector<std::string> folders;
  std::string json;
  bool gradients = false;
};

struct Report {
  int passed = 0, failed = 0, skipped = 0;
  nlohmann::ordered_json failures = nlohmann::ordered_json::array();
};

std::vector<fs::path> sorted_entries(const fs::path& folder) {
  std::vector<fs::path> out;
  for (const fs::directory_entry& e : fs::directory_iterator(folder)) out.push_back(e.path());
  std::sort(out.begin(), out.end());
  return out;
}

bool is_model(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".onnx" || extension == ".keras" || extension == ".h5" ||
         path.filename() == "model.json";
}

// Every test_data_set_* or MODEL_output_0.pb beside a model in `folder` or below it.
void collect_cases(const fs::path& folder, std::vector<Case>& cases) {
  std::vector<fs::path> models, data;
  for (const fs::path& entry : sorted_entries(folder)) {
    if (fs::is_directory(entry)) {
      if (entry.filename().string().starts_with("test_data_set_")) data.push_back(entry);
      else if (!fs::is_symlink(entry)) collect_cases(entry, cases);
    } else if (is_model(entry)) {
      models.push_back(entry);
    }
  }
  for (const fs::path& model : models) {
    for (const fs::path& set : data) cases.push_back({model, set});
    fs::path output = model;
    output.replace_filename(model.stem().string() + "_output_0.pb");
    if (fs::exists(output)) cases.push_back({model, output});
  }
}

// PREFIX_0.npy, PREFIX_1.npy, .. as far as they go.
std::vector<Tensor> read_numbered(const fs::path& folder, const std::string& prefix) {
  std::vector<Tensor> out;
  for (;;) {
    const fs::path file = folder / fmt::format("{}_{}.npy", prefix, out.size());
    if (!fs::exists(file)) return out;
    out.push_back(read_npy(file.string()));
  }
}

Outcome compare(const ModelFile& file, const Case& c, const Options& o) {
  const std::vector<Tensor> expected = read_numbered(c.data, "output");
  const std::vector<Tensor> given = read_numbered(c.data, "input");
  if (expected.empty()) return {Outcome::Kind::Skipped, "no output_0.npy"};
  const std::vector<GraphInput> inputs = data_inputs(file.model.graph);
  if (given.size() != inputs.size())
    return {Outcome::Kind::Failed,
            fmt::format("{} inputs are given, the model has {}", given.size(), inputs.size())};
  Feeds feeds;
  for (size_t i = 0; i < inputs.size(); ++i) feeds[inputs[i].name] = given[i];
  std::vector<NamedTensor> outputs;
  run_model(file, std::move(feeds), o.compute, {}, [&](const auto& answer) { outputs = answer; });
  if (outputs.size() != expected.size())
    return {Outcome::Kind::Failed,
            fmt::format("{} outputs, {} are expected", outputs.size(), expected.size())};
  for (size_t i = 0; i < outputs.size(); ++i)
    if (const std::string d = difference(outputs[i].tensor, expected[i], o); !d.empty())
      return {Outcome::Kind::Failed, fmt::format("output '{}' {}", outputs[i].name, d)};
  return {};
}

Outcome try_case(const Case& c, const Options& o) {
  try {
    if (o.gradients) return check_case_gradients(c, o);
    if (is_onnx(c.model.string())) return check_onnx(c, o);
    return compare(load_model(c.model.string()), c, o);
  } catch (const Error& e) {
    return {Outcome::Kind::Failed, e.what()};
  } catch (const std::bad_alloc&) {
    return {Outcome::Kind::Failed, "out of memory"};
  }
}

void count(const Case& c, const Outcome& outcome, Report& report) {
  switch (outcome.kind) {
    case Outcome::Kind::Passed:
      ++report.passed;
      if (!outcome.reason.empty()) fmt::print("passed {}: {}\n", c.name(), outcome.reason);
      return;
    case Outcome::Kind::Skipped:
      ++report.skipped;
      fmt::print("skipped {}: {}\n", c.name(), outcome.reason);
      return;
    case Outcome::Kind::Failed:
      ++report.failed;
      fmt::print("FAILED {}: {}\n", c.name(), outcome.reason);
      report.failures.push_back({{"case", c.name()}, {"reason", outcome.reason}});
      return;
  }
}

int run(const Options& o) {
  std::vector<Case> cases;
  for (const std::string& folder : o.folders) {
    if (!fs::is_directory(folder)) fail("{}: no such folder", folder);
    collect_cases(folder, cases);
  }
  if (cases.empty())
    fail("{}: no folder below it holds a model beside a test_data_set_*",
         fmt::join(o.folders, ", "));
  Report report;
  for (const Case& c : cases) {
    count(c, try_case(c, o), report);
    std::fflush(stdout);
  }
  if (!o.json.empty()) {
    const nlohmann::ordered_json json = {{"passed", report.passed},
                                         {"failed", report.failed},
                                         {"skipped", report.skipped},
                                         {"failures", report.failures}};
    const std::string text =
        json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    write_file_atomically(o.json, std::string_view(text));
  }
  fmt::print("{} passed, {} failed, {} skipped\n", report.passed, report.failed, report.skipped);
  return report.failed == 0 ? kDone : kFailed;
}

Action setup(OptionList& options) {
  const auto o = std::make_shared<Options>();
  options.add("DIR", o->folders, "Folders that hold models beside test_data_set_*").required();
  options.add("--rtol", o->rtol, "Relative tolerance of floats").non_negative().show_default();
  options.add("--atol", o->atol, "Absolute tolerance of floats").non_negative().show_default();
  add_compute_options(options, o->compute, true);
  add_limit_options(options, o->limits);
  options.flag("--gradients", o->gradients,
               "Instead of outputs, the gradients of ONNX models against central differences");
  options.add("--json", o->json, "Where counts and failures are written").called("FILE");
  return [o] { return run(*o); };
}

}  // namespace

const Verb kCheck = {"check", "Run models against recorded outputs",
                     "lathe check ../shared/keras --backend simd", setup};

}  // namespace lathe::tools
