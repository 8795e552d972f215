// The RUN folder: what it holds, what it refuses, and that it survives kills and full disks.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/files.h"
#include "runtime/safetensors.h"
#include "runtime/train/run_config.h"
#include "tests/support/scratch.h"
#include "tests/support/small_disk.h"

namespace lathe::train {
namespace {

namespace fs = std::filesystem;
using lathe::testing::check_names;
using lathe::testing::error_of;
using lathe::testing::ScratchFolder;

// A run whose every part tells `version`: the seed, a label, a word, the weights, the epochs.
struct Parts {
  Run run;
  Checkpoint checkpoint;
  TensorStore best;
};

Parts parts(int version, int64_t elements = 64) {
  const std::string tag = std::to_string(version);
  Parts p{{"{\"model\": " + tag + "}", {}, data::Vocabulary({"word" + tag})}, {}, {}};
  p.run.config.labels = {"neg", "pos" + tag};
  p.run.config.training.examples = 7;
  p.run.config.training.fit.seed = static_cast<uint64_t>(version);
  p.run.config.training.fit.learning_rate = 0.1;
  Tensor weights = Tensor::empty(DType::f32, {elements});
  for (int64_t i = 0; i < elements; ++i) weights.set(i, version);
  p.best["w"] = weights;
  p.checkpoint.store = {{"w", weights}, {"w/m", Tensor::zeros(DType::f32, {elements})}};
  for (int e = 1; e <= 1 + version % 3; ++e)
    p.checkpoint.history.push_back({e, {0.5, 0.25}, Metrics{double(version), 0.75}, 1.5});
  return p;
}

// The version that all parts of the run tell; -1 where they differ.
int version_of(const std::string& path) {
  const Run run = read_run(path);
  const Checkpoint c = read_checkpoint(path);
  const SafetensorsFile best = read_safetensors(run_file(path, kWeightsFile));
  const auto version = static_cast<int>(run.config.training.fit.seed);
  const Parts expected = parts(version, c.store.at("w").size());
  const bool same = run.model_json == expected.run.model_json &&
                    run.config.labels == expected.run.config.labels &&
                    run.vocabulary == expected.run.vocabulary &&
                    identical(*best.find("w"), expected.best.at("w")) &&
                    identical(c.store.at("w"), expected.best.at("w")) &&
                    c.history.size() == expected.checkpoint.history.size() &&
                    c.history.back().validation->loss == version;
  return same ? version : -1;
}

void save(const std::string& path, const Parts& p) {
  RunWriter(path).save(p.run, p.checkpoint, p.best);
}

TEST_CASE("what is saved is read back") {
  const ScratchFolder scratch;
  const std::string path = scratch.path("deep/run");
  CHECK_FALSE(is_run_folder(path));
  save(path, parts(4));
  CHECK(is_run_folder(path));
  CHECK(version_of(path) == 4);
  const Run run = read_run(path);
  CHECK(run.config.training.fit.learning_rate == 0.1);
  CHECK(run.config.text.maxlen == 200);
  CHECK(run.config.text.pad.padding == data::Side::Pre);
  CHECK(read_text_file(path + "/history.csv") ==
        "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n"
        "1,0.500000,0.250000,4.000000,0.750000,1.500\n"
        "2,0.500000,0.250000,4.000000,0.750000,1.500\n");
  CHECK_FALSE(fs::exists(path + "/.next"));
  CHECK_FALSE(fs::exists(path + "/.commit"));
}

TEST_CASE("a later save without new best weights keeps the former ones") {
  const ScratchFolder scratch;
  const Parts first = parts(1), later = parts(2);
  RunWriter writer(scratch.path("run"));
  writer.save(first.run, first.checkpoint, first.best);
  writer.save(later.checkpoint, nullptr);
  CHECK(read_safetensors(run_file(scratch.path("run"), kWeightsFile)).find("w")->at(0) == 1);
  CHECK(read_checkpoint(scratch.path("run")).store.at("w").at(0) == 2);
}

TEST_CASE("files of the user's own in the folder stay") {
  const ScratchFolder scratch;
  scratch.write("run/reviews.so", "mine");
  save(scratch.path("run"), parts(1));
  CHECK(read_text_file(scratch.path("run/reviews.so")) == "mine");
}

TEST_CASE("history without evaluation data has empty columns") {
  const std::vector<EpochRecord> history = {{1, {0.5, 0.25}, {}, 2}};
  const std::string text = print_history(history);
  CHECK(text == "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n1,0.500000,0.250000,,,2.000\n");
  CHECK_FALSE(parse_history(text, "h")[0].validation);
}

TEST_CASE("a folder has one writer at a time") {
  const ScratchFolder scratch;
  const RunWriter writer(scratch.path("run"));
  check_names(error_of([&] { RunWriter second(scratch.path("run")); }),
              {"run", "another process is training"});
}

TEST_CASE("an interrupted save is read from where it is, and completed by the next writer") {
  const ScratchFolder scratch;
  const std::string run = scratch.path("run");
  save(run, parts(1));
  save(scratch.path("other"), parts(2));
  fs::rename(scratch.path("other"), run + "/.commit");
  CHECK(version_of(run) == 2);
  fs::rename(run + "/.commit/weights.safetensors", run + "/weights.safetensors");
  CHECK(version_of(run) == 2);
  {
    const RunWriter writer(run);
  }
  CHECK_FALSE(fs::exists(run + "/.commit"));
  CHECK(version_of(run) == 2);
}

TEST_CASE("each broken part is refused with its file and what was expected") {
  struct Breakage {
    const char* file;
    const char* content;  // null: the file is removed
    std::initializer_list<std::string_view> names;
  };
  const Breakage breakages[] = {
      {"config.json", nullptr, {"config.json", "no such file", "lathe train"}},
      {"config.json", "{\"format\": ", {"config.json"}},
      {"config.json", "[]", {"config.json", "array", "an object"}},
      {"config.json", "{\"format\": \"x\"}", {"config.json", "\"x\"", "lathe run"}},
      {"config.json", "{\"format\": \"lathe run\", \"version\": 1}", {"\"text\" is missing"}},
      {"model.json", nullptr, {"model.json", "no such file"}},
      {"vocabulary.txt", nullptr, {"vocabulary.txt", "no such file"}},
      {"vocabulary.txt", "the\n", {"vocabulary.txt:1", "[PAD]"}},
      {"checkpoint.safetensors", nullptr, {"checkpoint.safetensors"}},
      {"checkpoint.safetensors", "short", {"checkpoint.safetensors"}},
      {"history.csv", nullptr, {"history.csv", "no such file"}},
      {"history.csv", "epoch,loss\n", {"history.csv:1", "val_accuracy"}},
      {"history.csv",
       "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n1,0.5,x,,,1\n",
       {"history.csv:2", "accuracy", "\"x\"", "a number"}},
      {"history.csv",
       "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n2,0.5,0.5,,,1\n",
       {"history.csv:2", "epoch 2", "expected 1"}},
      {"history.csv",
       "epoch,loss,accuracy,val_loss,val_accuracy,seconds\n",
       {"checkpoint.safetensors", "epoch 2", "history.csv"}},
  };
  for (const Breakage& b : breakages) {
    CAPTURE(b.file);
    const ScratchFolder scratch;
    save(scratch.path("run"), parts(1));
    if (b.content == nullptr) fs::remove(scratch.path("run/") + b.file);
    else scratch.write(std::string("run/") + b.file, b.content);
    check_names(error_of([&] { version_of(scratch.path("run")); }), b.names);
  }
}

TEST_CASE("numbers out of range in config.json are refused with the key") {
  const std::string good = print_config(parts(1).run.config);
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
    return error_of([&] { parse_config(text, "c.json"); });
  };
  check_names(with("\"maxlen\": 200", "\"maxlen\": 0"), {"c.json", "text", "maxlen", "\"0\""});
  check_names(with("\"maxlen\": 200", "\"maxlen\": 1e300"), {"maxlen", "whole number"});
  check_names(with("\"padding\": \"pre\"", "\"padding\": 3"), {"padding", "a string"});
  check_names(with("\"padding\": \"pre\"", "\"padding\": \"mid\""), {"padding", "\"post\""});
  check_names(with("\"learning_rate\": 0.1", "\"learning_rate\": -1"),
              {"learning_rate", "above 0"});
  check_names(with("\"seed\": 1", "\"seed\": -1"), {"seed", "not negative"});
  CHECK(with("\"seed\": 1", "\"seed\": 2") == "no error");
}

TEST_CASE("a path that is no run is refused by name") {
  const ScratchFolder scratch;
  check_names(error_of([&] { read_run(scratch.path("none")); }), {"none", "no such folder"});
  scratch.write("file", "x");
  check_names(error_of([&] { read_run(scratch.path("file")); }), {"file", "is a file"});
  check_names(error_of([&] { RunWriter w(scratch.path("file")); }), {"file", "folder"});
}

// Saves one run after the other until it is killed.
[[noreturn]] void save_forever(const std::string& path) {
  try {
    RunWriter writer(path);
    for (int version = 1;; ++version) {
      const Parts p = parts(version, 4096);
      writer.save(p.run, p.checkpoint, p.best);
    }
  } catch (...) {
  }
  _exit(1);
}

TEST_CASE("a kill -9 at any moment leaves one whole run, the former or the new one") {
  const ScratchFolder scratch;
  const std::string path = scratch.path("run");
  save(path, parts(1, 4096));
  for (int round = 0; round < 40; ++round) {
    const pid_t child = fork();
    if (child == 0) save_forever(path);
    REQUIRE(child > 0);
    usleep(static_cast<useconds_t>(500 + 997 * round % 30000));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    CHECK(version_of(path) > 0);
  }
}

TEST_CASE("on a full disk the former run stays, and the message says why") {
  const lathe::testing::SmallDisk disk(256);
  if (!disk.mounted()) return;
  const std::string path = disk.folder().path("run");
  save(path, parts(1));
  const std::string message = error_of([&] { save(path, parts(2, 1 << 20)); });
  check_names(message, {"safetensors", "No space left"});
  CHECK(version_of(path) == 1);
  CHECK_FALSE(fs::exists(path + "/.next"));
}

}  // namespace
}  // namespace lathe::train
