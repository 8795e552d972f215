// Bad input on the command line: exit 1, nothing on stdout, and a message that names file, place
// and expectation; whatever was there before stays.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "runtime/files.h"
#include "runtime/npy.h"
#include "runtime/safetensors.h"
#include "runtime/train/run_folder.h"
#include "tests/support/project.h"
#include "tests/support/small_disk.h"
#include "tests/support/unprivileged.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using testing::Captured;
using testing::check_names;
using testing::lathe_cli;
using testing::lathe_program;
using testing::Project;
using testing::ScratchFolder;

using Names = std::initializer_list<std::string_view>;

void check_refused(const std::vector<std::string>& arguments, Names names) {
  CAPTURE(arguments);
  const Captured c = lathe_cli(arguments);
  CAPTURE(c.err);
  CHECK(c.status == 1);
  CHECK(c.out.empty());
  CHECK(c.err.find("lathe " + arguments[0] + ": ") != std::string::npos);
  check_names(c.err, names);
}

TEST_CASE("model files that are cut, empty or something else") {
  const ScratchFolder scratch;
  const std::string json = testing::pooling_json();
  struct BadModel {
    const char* name;
    std::string content;
    Names names;
  };
  const BadModel models[] = {
      {"empty.json", "", {"empty.json", "empty"}},
      {"cut.json", json.substr(0, json.size() / 2), {"cut.json", "not valid JSON"}},
      {"list.json", "[1, 2]", {"list.json", "expected"}},
      {"empty.h5", "", {"empty.h5", "empty"}},
      {"cut.h5", "\x89HDF\r\n\x1a\n and no more", {"cut.h5"}},
      {"text.h5", "these are words", {"text.h5", "expected"}},
      {"cut.keras", std::string("PK\x03\x04", 4) + "and no more", {"cut.keras"}},
      {"empty.gir", "", {"empty.gir:1", "expected"}},
      {"cut.gir", "graph @f(%x: f32[2]) -> f32[2] {\n  %0 = neg", {"cut.gir:2"}},
      {"shapes.gir",
       "graph @f(%x: f32[2], %y: f32[3]) -> f32[2] {\n  %0 = add %x, %y : f32[2]\n  return %0\n}\n",
       {"shapes.gir:2", "f32[2]", "f32[3]"}},
  };
  for (const BadModel& bad : models) {
    const std::string path = scratch.write(bad.name, bad.content);
    check_refused({"run", path, "--random", "1"}, bad.names);
  }
}

TEST_CASE("training data that is empty, malformed or not there") {
  const Project p;
  struct BadData {
    const char* name;
    std::string content;
    Names names;
  };
  const BadData tables[] = {
      {"empty.tsv", "", {"empty.tsv:1", "empty", "expected lines of text and label"}},
      {"one.tsv", "text\nfine\ndull\n", {"one.tsv:1", "one column", "expected two"}},
      {"ragged.tsv", "text\tlabel\nfine\t1\ndull\n", {"ragged.tsv:3", "1 column", "expected 2"}},
      {"quote.csv", "text,label\n\"fine,1\n", {"quote.csv:2", "no closing quote"}},
      {"header.tsv", "text\tlabel\n", {"header.tsv:1", "no rows"}},
      {"third.tsv", "fine\t0\ndull\t1\nso\t2\n", {"third.tsv:3", "'2'", "at most 2 classes"}},
      {"same.tsv", "text\tlabel\nfine\t1\ndull\t1\n", {"same.tsv", "at least two classes"}},
      {"gap.tsv", "text\tlabel\nfine\t1\ndull\t\n", {"gap.tsv:3", "label is empty"}},
      {"wide.tsv",
       std::string("\xFF\xFE"
                   "a\0",
                   4),
       {"wide.tsv:1", "UTF-16", "expected UTF-8"}},
      {"packed.tsv.gz", "text\tlabel\n", {"packed.tsv.gz", "gzip"}},
  };
  for (const BadData& bad : tables) {
    const std::string path = p.scratch.write(bad.name, bad.content);
    check_refused({"train", p.model, "--data", path, "-o", p.run}, bad.names);
    CHECK_FALSE(fs::exists(p.run));
  }
  const std::string none = p.scratch.path("none.tsv"), empty = p.scratch.path("folder");
  fs::create_directory(empty);
  check_refused({"train", p.model, "--data", none, "-o", p.run}, {none, "No such file"});
  check_refused({"train", p.model, "--data", empty, "-o", p.run}, {empty, "pos/ and neg/"});
  const std::string unknown = p.scratch.write("test.tsv", "text\tlabel\nfine\tpos\nso\tnone\n");
  check_refused({"train", p.model, "--data", p.data, "--eval", unknown, "-o", p.run},
                {"test.tsv:3", "'none'", "'neg' or 'pos'"});
  CHECK_FALSE(fs::exists(p.run));
}

TEST_CASE("models that take no texts") {
  const Project p(testing::dense_json());
  const Captured c = p.train();
  CHECK(c.status == 1);
  check_names(c.err, {p.model, "'x' is f32[batch,6]", "expected tokens", "[batch, length]"});
  CHECK_FALSE(fs::exists(p.run));
}

TEST_CASE("runs with a broken part") {
  const Project p;
  REQUIRE(p.train().status == 0);
  const std::string weights = p.run + "/weights.safetensors";
  const std::string whole = read_text_file(weights);
  std::vector<NamedTensor> tensors = read_safetensors(weights).tensors;
  for (NamedTensor& t : tensors) t.tensor = t.tensor.clone();
  const std::vector<std::string> predict = {"predict", p.run, "fine"};

  p.scratch.write("run/weights.safetensors", whole.substr(0, whole.size() - 5));
  check_refused(predict, {"weights.safetensors", "not a range within"});
  p.scratch.write("run/weights.safetensors", "");
  check_refused(predict, {"weights.safetensors"});
  std::vector<NamedTensor> changed = tensors;
  changed.pop_back();
  write_safetensors(weights, changed);
  check_refused(predict, {"weights.safetensors", tensors.back().name});
  changed = tensors;
  changed[0].tensor = Tensor::zeros(DType::f32, {2, 2});
  write_safetensors(weights, changed);
  check_refused(predict, {"weights.safetensors", tensors[0].name, "f32[2,2]"});
  write_safetensors(weights, tensors);

  const std::string config = read_text_file(p.run + "/config.json");
  p.scratch.write("run/config.json", config.substr(0, config.size() / 2));
  check_refused({"eval", p.run, "--data", p.data}, {"config.json", "not valid JSON"});
  p.scratch.write("run/config.json", config);
  CHECK(lathe_cli(predict).status == 0);
}

TEST_CASE("inputs that are no arrays, or of another shape") {
  const ScratchFolder scratch;
  const std::string model = scratch.write("model.json", testing::dense_json());
  const auto input = [&](const std::string& file) {
    return std::vector<std::string>{"run", model, "--input", "x=" + file};
  };
  check_refused(input(scratch.path("none.npy")), {"none.npy", "No such file"});
  check_refused(input(scratch.write("text.npy", "1 2 3")), {"text.npy", "npy"});
  check_refused(input(scratch.write("empty.npy", "")), {"empty.npy"});
  write_npy(scratch.path("x.npy"), Tensor::zeros(DType::f32, {2, 6}));
  const std::string whole = read_text_file(scratch.path("x.npy"));
  check_refused(input(scratch.write("cut.npy", whole.substr(0, whole.size() - 4))),
                {"cut.npy", "bytes"});
  write_npy(scratch.path("wide.npy"), Tensor::zeros(DType::f32, {2, 7}));
  check_refused(input(scratch.path("wide.npy")), {"'x'", "f32[2,7]", "6"});
}

TEST_CASE("files without permission") {
  const Project p;
  REQUIRE(p.train().status == 0);
  fs::permissions(p.scratch.path(), fs::perms(0755));
  fs::permissions(p.run, fs::perms(0755));
  const std::string locked = p.scratch.write("locked.json", testing::pooling_json());
  fs::permissions(locked, fs::perms(0));
  const std::string data = p.scratch.write("locked.tsv", testing::reviews());
  fs::permissions(data, fs::perms(0));
  const std::string weights = p.run + "/weights.safetensors";
  const fs::perms former = fs::status(weights).permissions();
  {
    const testing::Unprivileged user;
    check_refused({"run", locked, "--random", "1"}, {locked, "Permission denied"});
    check_refused({"train", p.model, "--data", data, "-o", p.run}, {data, "Permission denied"});
    check_refused({"eval", p.run, "--data", data}, {data, "Permission denied"});
    check_refused({"train", p.model, "--data", p.data, "-o", p.run}, {p.run, "Permission denied"});
    check_refused({"train", p.model, "--data", p.data, "-o", p.scratch.path("new")},
                  {p.scratch.path("new"), "Permission denied"});
    check_refused({"compile", p.model, "--emit", "graph", "-o", p.scratch.path("out.gir")},
                  {p.scratch.path("out.gir"), "Permission denied"});
  }
  fs::permissions(weights, fs::perms(0));
  {
    const testing::Unprivileged user;
    check_refused({"predict", p.run, "fine"}, {weights, "Permission denied"});
  }
  fs::permissions(weights, former);
  CHECK(lathe_cli({"predict", p.run, "fine"}).status == 0);
}

TEST_CASE("outputs that cannot be where they should") {
  const Project p;
  const std::string below = p.scratch.path("none/out"), file = p.data + "/run";
  for (const std::string emit : {"graph", "program", "header"})
    check_refused({"compile", p.model, "--emit", emit, "--dim", "length=4", "-o", below},
                  {below, "No such file"});
  check_refused({"compile", p.model, "--emit", "graph", "-o", p.scratch.path()}, {"a folder"});
  check_refused({"train", p.model, "--data", p.data, "-o", file}, {file, "folder"});
  const std::string dense = p.scratch.write("dense.json", testing::dense_json());
  check_refused({"run", dense, "--random", "1", "-o", below}, {below, "No such file"});
}

TEST_CASE("a disk that fills up during training leaves the former run") {
  const testing::SmallDisk disk(96);
  if (!disk.mounted()) return;
  Project p;
  p.run = disk.folder().path("run");
  REQUIRE(p.train().status == 0);
  const Captured before = lathe_cli({"predict", p.run, "--json", "a fine film"});
  disk.folder().write("ballast", std::string(60 << 10, 'x'));
  const Captured full = lathe_cli(p.train_arguments(6, 2));
  CHECK(full.status == 1);
  check_names(full.err, {p.run, "No space left"});
  const Captured after = lathe_cli({"predict", p.run, "--json", "a fine film"});
  CHECK(after.status == 0);
  CHECK(after.out == before.out);
}

TEST_CASE("a training killed at any moment goes on from a whole checkpoint to the same weights") {
  const Project whole, broken;
  REQUIRE(whole.train().status == 0);
  std::vector<std::string> arguments = broken.train_arguments();
  arguments.insert(arguments.begin(), lathe_program());
  arguments.push_back("--resume");
  std::mt19937 random(3);
  int kills = 0;
  double longest = 20'000;  // microseconds
  for (bool finished = false; !finished;) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      std::vector<char*> argv;
      for (std::string& a : arguments) argv.push_back(a.data());
      argv.push_back(nullptr);
      const int null = open("/dev/null", O_WRONLY);
      dup2(null, STDOUT_FILENO);
      dup2(null, STDERR_FILENO);
      execv(argv[0], argv.data());
      _exit(127);
    }
    longest *= 1.1;  // on a busy machine it takes long to come to the end
    usleep(1000 + static_cast<useconds_t>(random() % static_cast<uint32_t>(longest)));
    kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    finished = WIFEXITED(status);
    if (finished) CHECK(WEXITSTATUS(status) == 0);
    else ++kills;
    if (train::is_run_folder(broken.run))
      REQUIRE(lathe_cli({"predict", broken.run, "fine"}).status == 0);
  }
  MESSAGE(kills << " kills");
  CHECK(read_text_file(broken.run + "/weights.safetensors") ==
        read_text_file(whole.run + "/weights.safetensors"));
}

}  // namespace
}  // namespace lathe
