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
#include "runtime/safetensors.h"
#include "tests/support/scratch.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::check_names;
using testing::ScratchFolder;

struct Captured {
  int status = 0;
  std::string out, err;
};

// Redirects a descriptor into a file while it lives.
class Redirection {
 public:
  Redirection(int descriptor, const std::string& path)
      : descriptor_(descriptor), saved_(dup(descriptor)) {
    std::FILE* file = std::fopen(path.c_str(), "w");
    REQUIRE(file != nullptr);
    dup2(fileno(file), descriptor);
    std::fclose(file);
  }
  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;
  ~Redirection() {
    dup2(saved_, descriptor_);
    close(saved_);
  }

 private:
  int descriptor_, saved_;
};

Captured lathe_cli(const std::vector<std::string>& arguments) {
  const ScratchFolder scratch;
  std::vector<const char*> argv = {"lathe"};
  for (const std::string& a : arguments) argv.push_back(a.c_str());
  Captured c;
  {
    std::fflush(stdout);
    const Redirection out(STDOUT_FILENO, scratch.path("out"));
    const Redirection err(STDERR_FILENO, scratch.path("err"));
    c.status = tools::run_cli(static_cast<int>(argv.size()), argv.data());
  }
  c.out = read_text_file(scratch.path("out"));
  c.err = read_text_file(scratch.path("err"));
  return c;
}

// Keras configuration: Embedding(30, 4), GlobalAveragePooling1D, Dense(units).
std::string model_json(int units = 1, const char* activation = "sigmoid") {
  return fmt::format(R"({{"class_name": "Sequential", "config": {{"name": "tiny", "layers": [
    {{"class_name": "InputLayer", "config": {{"batch_input_shape": [null, null],
      "dtype": "int32", "name": "tokens"}}}},
    {{"class_name": "Embedding", "config": {{"name": "embedding", "input_dim": 30,
      "output_dim": 4, "batch_input_shape": [null, null]}}}},
    {{"class_name": "GlobalAveragePooling1D", "config": {{"name": "pool"}}}},
    {{"class_name": "Dense", "config": {{"name": "answer", "units": {}, "activation": "{}"}}}}
  ]}}}})",
                     units, activation);
}

std::string reviews() {
  std::string out = "text\tlabel\n";
  for (int i = 0; i < 20; ++i)
    out += fmt::format("a fine film number {}\tpos\na dull book number {}\tneg\n", i % 7, i % 5);
  return out;
}

// A folder with a model, data and, once trained, a run.
struct Project {
  ScratchFolder scratch;
  std::string model = scratch.write("model.json", model_json());
  std::string data = scratch.write("reviews.tsv", reviews());
  std::string run = scratch.path("run");

  // A file of weights under which the model answers sigmoid(2), whatever the tokens.
  std::string weights() const {
    std::string file = scratch.path("weights.safetensors");
    write_safetensors(file, {{"embedding/embeddings",
                              Tensor::from<float>({30, 4}, std::vector<float>(120, 0.5f))},
                             {"answer/kernel", Tensor::from<float>({4, 1}, {1, 1, 1, 1})},
                             {"answer/bias", Tensor::from<float>({1}, {0})}});
    return file;
  }

  std::vector<std::string> train_arguments() const {
    return {"train", model,  "--data",    data, "--eval",    data,         "--maxlen", "6",
            "--lr",  "0.05", "--seed",    "1",  "--epochs",  "6",          "--batch",  "16",
            "-o",    run,    "--threads", "1",  "--backend", "interpreter"};
  }
  Captured train(std::vector<std::string> more = {}) const {
    std::vector<std::string> all = train_arguments();
    all.insert(all.end(), more.begin(), more.end());
    return lathe_cli(all);
  }
};

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
    }
  }
}

TEST_CASE("train, eval and predict a classifier") {
  const Project p;
  const Captured trained = p.train({"--json"});
  CAPTURE(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(json::parse(trained.out)["val_accuracy"].get<double>() >= 0.9);
  check_names(trained.err, {"epoch 1/6", "epoch 6/6", "40 examples"});
  for (const char* file : {"config.json", "model.json", "vocabulary.txt", "weights.safetensors",
                           "checkpoint.safetensors", "history.csv"})
    CHECK(fs::exists(p.run + "/" + file));

  const Captured eval = lathe_cli({"eval", p.run, "--data", p.data, "--json"});
  REQUIRE(eval.status == 0);
  CHECK(json::parse(eval.out)["accuracy"].get<double>() >= 0.9);

  const Captured answers = lathe_cli({"predict", p.run, "A fine film!", "dull book"});
  REQUIRE(answers.status == 0);
  CHECK(answers.out.starts_with("pos\t"));
  CHECK(answers.out.find("\nneg\t") != std::string::npos);
  const Captured one = lathe_cli({"predict", p.run, "--json", "dull book"});
  CHECK(json::parse(one.out)["answers"][0]["label"] == "neg");
}

TEST_CASE("more classes than two are told apart") {
  const Project p;
  p.scratch.write("model.json", model_json(3, "softmax"));
  std::string table = "text\tlabel\n";
  for (int i = 0; i < 12; ++i) table += "red\t1\ngreen\t2\nblue\t3\n";
  p.scratch.write("reviews.tsv", table);
  const Captured trained = p.train();
  CAPTURE(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(lathe_cli({"predict", p.run, "green"}).out.starts_with("2\t"));
}

TEST_CASE("a resumed training ends as one without a break") {
  const Project whole, half;
  REQUIRE(whole.train().status == 0);
  REQUIRE(half.train({"--epochs", "3"}).status == 2);  // an option may be given once
  std::vector<std::string> three = half.train_arguments();
  *(std::find(three.begin(), three.end(), "--epochs") + 1) = "3";
  REQUIRE(lathe_cli(three).status == 0);
  const Captured resumed = half.train({"--resume"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.status == 0);
  CHECK(resumed.err.find("epoch 3/6") == std::string::npos);
  CHECK(read_text_file(whole.run + "/weights.safetensors") ==
        read_text_file(half.run + "/weights.safetensors"));
}

TEST_CASE("resuming with other options or other data is refused") {
  const Project p;
  REQUIRE(p.train().status == 0);
  const std::vector<std::string> base = {"train", p.model, "--data",  p.data,
                                         "-o",    p.run,   "--resume"};
  const auto with = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> all = base;
    all.insert(all.end(), more);
    return lathe_cli(all);
  };
  const Captured batch = with({"--batch", "8"});
  CHECK(batch.status == 1);
  check_names(batch.err, {p.run, "--batch 16, not 8"});
  p.scratch.write("reviews.tsv", reviews() + "one more\tpos\n");
  const Captured data = with({});
  CHECK(data.status == 1);
  check_names(data.err, {p.data, "41 examples", "40"});
}

TEST_CASE("bad training data and models are named, and the former run stays") {
  const Project p;
  REQUIRE(p.train().status == 0);
  const std::string weights = read_text_file(p.run + "/weights.safetensors");
  p.scratch.write("reviews.tsv", reviews() + "so so\tneutral\n");
  const Captured third = p.train();
  CHECK(third.status == 1);
  check_names(third.err, {"reviews.tsv:42", "neutral"});
  p.scratch.write("reviews.tsv", "");
  const Captured empty = p.train();
  CHECK(empty.status == 1);
  check_names(empty.err, {"reviews.tsv"});
  p.scratch.write("reviews.tsv", reviews());
  const Captured words = p.train({"--vocab", "31"});
  CHECK(words.status == 1);
  check_names(words.err, {"model.json", "30 rows", "--vocab 31"});
  CHECK(read_text_file(p.run + "/weights.safetensors") == weights);
  CHECK(lathe_cli({"predict", p.run, "fine"}).status == 0);
}

TEST_CASE("a broken run is refused with its file") {
  const Project p;
  REQUIRE(p.train().status == 0);
  fs::remove(p.run + "/weights.safetensors");
  const Captured c = lathe_cli({"predict", p.run, "fine"});
  CHECK(c.status == 1);
  check_names(c.err, {"weights.safetensors"});
  p.scratch.write("run/weights.safetensors", "short");
  check_names(lathe_cli({"eval", p.run, "--data", p.data}).err, {"weights.safetensors"});
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
  p.scratch.write("models/a/model.json", model_json());
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
