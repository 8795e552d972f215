// The command line as its users meet it: verbs, exit codes, messages.
#include "tools/cli.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "runtime/files.h"
#include "runtime/npy.h"
#include "runtime/npz.h"
#include "tests/support/project.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::Captured;
using testing::check_names;
using testing::lathe_cli;
using testing::pooling_json;
using testing::Project;
using testing::Redirection;
using testing::ScratchFolder;

TEST_CASE("every verb has a help with an example") {
  for (const tools::Verb* verb : tools::verbs()) {
    CAPTURE(verb->name);
    const Captured c = lathe_cli({std::string(verb->name), "--help"});
    CHECK(c.status == 0);
    CHECK(c.err.empty());
    check_names(c.out, {"Example:", verb->example});
  }
}

TEST_CASE("usage errors exit 2 and suggest what was meant") {
  struct Slip {
    std::vector<std::string> arguments;
    std::initializer_list<std::string_view> names;
  };
  const Slip slips[] = {
      {{}, {"train", "predict"}},
      {{"tran"}, {"unknown verb 'tran'", "did you mean 'train'"}},
      {{"xyzzy"}, {"unknown verb 'xyzzy'", "lathe --help"}},
      {{"train", "m.json", "--epoch", "3"}, {"unknown option '--epoch'", "'--epochs'"}},
      {{"train", "m.json", "--data", "d", "-o", "r", "--sed=1"}, {"'--sed'", "'--seed'"}},
      {{"bench", "m.json", "--min-tme", "1"}, {"'--min-tme'", "'--min-time'"}},
      {{"train", "m.json"}, {"--data"}},
      {{"predict", "run"}, {"TEXT"}},
      {{"train", "m.json", "--data", "d", "-o", "r", "--epochs", "0"}, {"--epochs"}},
      {{"train", "m.json", "--data", "d", "-o", "r", "--epochs", "many"}, {"--epochs", "many"}},
      {{"run", "m.json", "--backend", "gpu"}, {"--backend", "gpu", "interpreter"}},
      {{"run", "m.json", "--threads", "0"}, {"--threads"}},
      {{"inspect", "m.json", "--stage", "soup"}, {"--stage", "soup"}},
  };
  for (const Slip& slip : slips) {
    const Captured c = lathe_cli(slip.arguments);
    CHECK(c.status == 2);
    CHECK(c.out.empty());
    check_names(c.err, slip.names);
  }
}

TEST_CASE("malformed --dim and --input are usage errors") {
  const Project p;
  for (const char* dim : {"batch", "batch=", "=3", "batch=x", "batch=0"}) {
    const Captured c = lathe_cli({"run", p.model, "--random", "1", "--dim", dim});
    CHECK(c.status == 2);
    check_names(c.err, {"--dim", dim, "NAME=N"});
  }
  const Captured c = lathe_cli({"run", p.model, "--input", "tokens"});
  CHECK(c.status == 2);
  check_names(c.err, {"--input tokens", "NAME=FILE.npy"});
}

TEST_CASE("version and doctor say what was built") {
  const json version = json::parse(lathe_cli({"version", "--json"}).out);
  CHECK(version.contains("version"));
  check_names(lathe_cli({"version"}).out, {version["version"].get<std::string>()});
  const Captured c = lathe_cli({"doctor", "--json"});
  REQUIRE(c.status == 0);
  const json doctor = json::parse(c.out);
  for (const char* key : {"build", "llvm", "isa", "threads", "roof", "cache_dir"})
    CHECK(doctor.contains(key));
  CHECK(doctor["roof"][0]["gflops"].get<double>() > 0);
}

TEST_CASE("files that are no models fail with exit 1, by name") {
  const ScratchFolder scratch;
  const std::string text = scratch.write("notes.txt", "hello");
  const std::string broken = scratch.write("broken.json", "{\"class_name\": ");
  const std::string onnx = scratch.write("model.onnx", "x");
  for (const std::string verb : {"run", "bench", "inspect"}) {
    for (const std::string& path :
         {text, broken, onnx, scratch.path("none.json"), scratch.path()}) {
      const Captured c = lathe_cli({verb, path});
      CHECK(c.status == 1);
      CHECK(c.out.empty());
      check_names(c.err, {"lathe " + verb, path});
      if (!fs::exists(path)) check_names(c.err, {"no such file"});
    }
  }
}

TEST_CASE("run evaluates, agrees with the reference and writes npz") {
  const Project p;
  write_npy(p.scratch.path("tokens.npy"), Tensor::from<int32_t>({2, 3}, {2, 3, 4, 5, 6, 7}));
  std::vector<Tensor> answers;
  for (const std::string backend : {"interpreter", "eval", "auto"}) {
    const std::string out = p.scratch.path(backend + ".npz");
    const Captured c =
        lathe_cli({"run", p.model, "--input", "tokens=" + p.scratch.path("tokens.npy"), "-o", out,
                   "--backend", backend});
    CAPTURE(c.err);
    REQUIRE(c.status == 0);
    check_names(c.out, {"f32[2,1]"});
    answers.push_back(read_npz(out).at(0).tensor);
  }
  CHECK(answers[0].at(0) == doctest::Approx(answers[1].at(0)).epsilon(1e-6));
  CHECK(answers[2].at(1) == doctest::Approx(answers[1].at(1)).epsilon(1e-6));
}

TEST_CASE("--weights replaces the weights of a model") {
  const Project p;
  const std::vector<std::string> more = {"--weights", p.weights(), "--random",
                                         "1",         "--dim",     "length=3"};
  std::vector<std::string> arguments = {"run", p.model};
  arguments.insert(arguments.end(), more.begin(), more.end());
  check_names(lathe_cli(arguments).out, {"0.880797"});
  const std::string text = p.scratch.path("frozen.gir");
  REQUIRE(lathe_cli({"compile", p.model, "--weights", p.weights(), "--emit", "graph", "-o", text})
              .status == 0);
  check_names(lathe_cli({"run", text, "--random", "1", "--dim", "length=3"}).out, {"0.880797"});
  const Captured wrong = lathe_cli({"bench", p.model, "--weights", p.data, "--dim", "length=3"});
  CHECK(wrong.status == 1);
  check_names(wrong.err, {"reviews.tsv"});
}

TEST_CASE("inputs that are missing, unknown or of another shape are named") {
  const Project p;
  const Captured none = lathe_cli({"run", p.model});
  CHECK(none.status == 1);
  check_names(none.err, {"'tokens'", "--random"});
  write_npy(p.scratch.path("x.npy"), Tensor::from<int32_t>({6}, {2, 3, 4, 5, 6, 7}));
  const std::string file = p.scratch.path("x.npy");
  const Captured shape =
      lathe_cli({"run", p.model, "--input", "tokens=" + file, "--dim", "length=3"});
  CHECK(shape.status == 1);
  check_names(shape.err, {"'tokens'", "i32[6]"});
  const Captured other =
      lathe_cli({"run", p.model, "--input", "tokns=" + file, "--random", "1", "--dim", "length=3"});
  CHECK(other.status == 1);
  check_names(other.err, {"no input 'tokns'", "tokens"});
  check_names(lathe_cli({"run", p.model, "--random", "1"}).err, {"'length' is free", "--dim"});
}

TEST_CASE("bench reports the keys of the contract") {
  const Project p;
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, std::vector<std::string>{"--train"}}) {
    std::vector<std::string> arguments = {"bench",      p.model, "--dim",     "length=5",
                                          "--min-time", "0",     "--backend", "interpreter",
                                          "--threads",  "1",     "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Captured c = lathe_cli(arguments);
    CAPTURE(c.err);
    REQUIRE(c.status == 0);
    const json result = json::parse(c.out);
    for (const char* key : {"median_ms", "p95_ms", "gflops", "roof_share", "compile_ms",
                            "first_result_ms", "peak_bytes"})
      CHECK(result[key].get<double>() > 0);
    CHECK(result["threads"] == 1);
    CHECK(result["backend"] == "interpreter");
  }
}

TEST_CASE("bench --train takes weights, inputs and targets, and says what the first steps lost") {
  const Project p;
  const auto bench = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"bench",  p.model,     "--train",     "--min-time", "0",
                                          "--json", "--backend", "interpreter", "--threads",  "1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return lathe_cli(arguments);
  };
  const std::string tokens = "tokens=" + p.scratch.path("tokens.npy"),
                    target = "target=" + p.scratch.path("target.npy"), weights = p.weights();
  write_npy(p.scratch.path("tokens.npy"), Tensor::from<int64_t>({2, 3}, {2, 3, 4, 5, 6, 7}));
  write_npy(p.scratch.path("target.npy"), Tensor::from<float>({2, 1}, {0, 0}));
  const Captured c = bench({"--weights", weights, "--input", tokens, "--input", target});
  CAPTURE(c.err);
  REQUIRE(c.status == 0);
  const std::vector<double> losses = json::parse(c.out)["losses"];
  REQUIRE(losses.size() == 5);
  CHECK(losses[0] == doctest::Approx(std::log1p(std::exp(2.0))).epsilon(1e-6));
  CHECK(std::is_sorted(losses.rbegin(), losses.rend()));
  write_npy(p.scratch.path("rate.npy"), Tensor::scalar(0.0f));
  const Captured still = bench({"--input", tokens, "--input", target, "--weights", weights,
                                "--input", "learning_rate=" + p.scratch.path("rate.npy")});
  CHECK(json::parse(still.out)["losses"] == json(std::vector<double>(5, losses[0])));
  CHECK_FALSE(json::parse(lathe_cli({"bench", p.model, "--dim", "length=3", "--min-time", "0",
                                     "--json", "--backend", "interpreter"})
                              .out)
                  .contains("losses"));
  check_names(bench({"--input", tokens, "--input", "labels" + target.substr(6)}).err,
              {"no input 'labels'", "target"});
  check_names(bench({"--input", tokens, "--dim", "batch=3"}).err, {"'tokens'", "i32[2,3]"});
}

TEST_CASE("bench --profile says where the time goes") {
  const Project p;
  const std::vector<std::string> arguments = {"bench",      p.model, "--dim",     "length=5",
                                              "--min-time", "0",     "--backend", "interpreter",
                                              "--threads",  "1",     "--profile"};
  const Captured text = lathe_cli(arguments);
  CHECK(text.status == 0);
  check_names(text.out, {"kernel", "[interpreter]", "outside of kernels"});
  std::vector<std::string> as_json = arguments;
  as_json.emplace_back("--json");
  const json profile = json::parse(lathe_cli(as_json).out)["profile"];
  REQUIRE_FALSE(profile["kernels"].empty());
  double ms = profile["outside_ms"], share = ms / profile["run_ms"].get<double>();
  for (const json& k : profile["kernels"]) {
    CHECK(k["calls"].get<double>() >= 1);
    CHECK(k["kernel"].get<int>() >= 0);
    CHECK_FALSE(k["loops"].get<std::string>().empty());
    ms += k["ms"].get<double>();
    share += k["share"].get<double>();
  }
  CHECK(ms == doctest::Approx(profile["run_ms"].get<double>()));
  CHECK(share == doctest::Approx(1));
}

TEST_CASE("inspect and compile show each stage") {
  const Project p;
  check_names(lathe_cli({"inspect", p.model}).out, {"embedding", "f32[batch,1]"});
  check_names(lathe_cli({"inspect", p.model, "--format", "dot"}).out, {"digraph", "tokens", "->"});
  for (const std::string stage : {"fused", "kernels", "program"}) {
    const Captured c = lathe_cli({"inspect", p.model, "--stage", stage, "--dim", "length=5"});
    CAPTURE(c.err);
    CHECK(c.status == 0);
    CHECK_FALSE(c.out.empty());
  }
  check_names(lathe_cli({"inspect", p.model, "--train", "--optimizer", "sgd"}).out,
              {"learning_rate", "loss", "updates"});
  const Captured drawn =
      lathe_cli({"inspect", p.model, "--stage", "kernels", "--format", "dot", "--dim", "length=5"});
  CHECK(drawn.status == 1);
  check_names(drawn.err, {"text form only"});
  const std::string out = p.scratch.path("program.txt");
  REQUIRE(
      lathe_cli({"compile", p.model, "-o", out, "--emit", "program", "--dim", "length=5"}).status ==
      0);
  check_names(read_text_file(out), {"program", "arena", "buffer b0"});
}

TEST_CASE("the text form of a model is a model") {
  const Project p;
  const std::string text = p.scratch.path("tiny.gir");
  REQUIRE(lathe_cli({"compile", p.model, "-o", text, "--emit", "graph"}).status == 0);
  const std::vector<std::string> more = {"--random", "3", "--dim", "length=4"};
  std::vector<std::string> original = {"run", p.model}, again = {"run", text};
  original.insert(original.end(), more.begin(), more.end());
  again.insert(again.end(), more.begin(), more.end());
  const Captured a = lathe_cli(original), b = lathe_cli(again);
  CAPTURE(b.err);
  CHECK(a.status == 0);
  CHECK(a.out == b.out);
  p.scratch.write("tiny.gir", "graph {");
  const Captured broken = lathe_cli({"run", text});
  CHECK(broken.status == 1);
  check_names(broken.err, {"tiny.gir:1:"});
}

TEST_CASE("check compares with recorded outputs and counts") {
  const Project p;
  const std::string folder = p.scratch.path("models");
  p.scratch.write("models/a/model.json", pooling_json());
  fs::create_directories(folder + "/a/test_data_set_0");
  fs::create_directories(folder + "/a/test_data_set_1");
  const Tensor tokens = Tensor::from<int32_t>({1, 3}, {2, 3, 4});
  write_npy(p.scratch.path("t.npy"), tokens);
  REQUIRE(lathe_cli({"run", p.model, "--input", "tokens=" + p.scratch.path("t.npy"), "-o",
                     p.scratch.path("o.npz")})
              .status == 0);
  const Tensor good = read_npz(p.scratch.path("o.npz")).at(0).tensor;
  Tensor bad = good.clone();
  bad.set(0, good.at(0) + 0.1);
  for (int i = 0; i < 2; ++i) {
    const std::string set = fmt::format("{}/a/test_data_set_{}", folder, i);
    write_npy(set + "/input_0.npy", tokens);
    write_npy(set + "/output_0.npy", i == 0 ? good : bad);
  }
  const Captured c = lathe_cli({"check", folder, "--json", p.scratch.path("report.json")});
  CHECK(c.status == 1);
  CHECK(c.out.ends_with("1 passed, 1 failed, 0 skipped\n"));
  const json report = json::parse(read_text_file(p.scratch.path("report.json")));
  CHECK(report["failed"] == 1);
  check_names(report["failures"][0]["case"].get<std::string>(), {"test_data_set_1"});
  check_names(report["failures"][0]["reason"].get<std::string>(), {"1 of 1 elements differ"});
  CHECK(lathe_cli({"check", p.scratch.path("run2")}).status == 1);
}

TEST_CASE("output that cannot be written is a failure") {
  if (access("/dev/full", W_OK) != 0) {
    MESSAGE("skipped: there is no /dev/full");
    return;
  }
  std::fflush(stdout);
  const ScratchFolder scratch;
  int status = 0;
  {
    const Redirection out(STDOUT_FILENO, "/dev/full");
    const Redirection err(STDERR_FILENO, scratch.path("err"));
    const char* argv[] = {"lathe", "version"};
    status = tools::run_cli(2, argv);
  }
  std::clearerr(stdout);
  std::cout.clear();
  CHECK(status == 1);
  check_names(read_text_file(scratch.path("err")), {"stdout", "No space left"});
}

}  // namespace
}  // namespace lathe
