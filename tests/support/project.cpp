#include "tests/support/project.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

#include "runtime/files.h"
#include "runtime/options.h"
#include "runtime/safetensors.h"
#include "tools/cli.h"

namespace lathe::testing {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& t : texts) out.push_back(const_cast<char*>(t.c_str()));
  out.push_back(nullptr);
  return out;
}

// What comes last in an environment is not what counts, so a replaced variable goes.
std::vector<std::string> environment_with(const std::vector<std::string>& changes) {
  std::vector<std::string> out;
  for (char** entry = process_environment(); *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('=') + 1);
    if (std::none_of(changes.begin(), changes.end(),
                     [&](const std::string& c) { return c.starts_with(name); }))
      out.emplace_back(text);
  }
  out.insert(out.end(), changes.begin(), changes.end());
  return out;
}

constexpr std::string_view kPooling =
    R"({"class_name": "GlobalAveragePooling1D", "config": {"name": "pool"}})";

std::string classifier_json(std::string_view middle, int units, std::string_view activation,
                            std::string_view length = "null") {
  return fmt::format(R"({{"class_name": "Sequential", "config": {{"name": "tiny", "layers": [
    {{"class_name": "InputLayer", "config": {{"batch_input_shape": [null, {0}],
      "dtype": "int32", "name": "tokens"}}}},
    {{"class_name": "Embedding", "config": {{"name": "embedding", "input_dim": 30,
      "output_dim": 4, "batch_input_shape": [null, {0}]}}}},
    {1},
    {{"class_name": "Dense", "config": {{"name": "answer", "units": {2}, "activation": "{3}"}}}}
  ]}}}})",
                     length, middle, units, activation);
}

}  // namespace

Redirection::Redirection(int descriptor, const std::string& path)
    : descriptor_(descriptor), saved_(dup(descriptor)) {
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  REQUIRE(file >= 0);
  dup2(file, descriptor);
  close(file);
}

Redirection::~Redirection() {
  dup2(saved_, descriptor_);
  close(saved_);
}

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

Captured run_program(const std::vector<std::string>& command,
                     const std::vector<std::string>& environment, const std::string& stdout_path) {
  const ScratchFolder scratch;
  const std::string out = stdout_path.empty() ? scratch.write("out", "") : stdout_path;
  const std::string err = scratch.write("err", "");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY, 0);
  const std::vector<std::string> variables = environment_with(environment);
  pid_t child = 0;
  const int error = posix_spawnp(&child, command[0].c_str(), &actions, nullptr,
                                 pointers(command).data(), pointers(variables).data());
  posix_spawn_file_actions_destroy(&actions);
  REQUIRE_MESSAGE(error == 0, command[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  Captured c;
  c.status = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  if (stdout_path.empty()) c.out = read_text_file(out);
  c.err = read_text_file(err);
  return c;
}

std::string lathe_program() {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "lathe").string();
}

std::string pooling_json(int units, const char* activation) {
  return classifier_json(kPooling, units, activation);
}

std::string fixed_length_json() { return classifier_json(kPooling, 1, "sigmoid", "6"); }

std::string lstm_json() {
  return classifier_json(R"({"class_name": "LSTM", "config": {"name": "lstm", "units": 5}})", 1,
                         "sigmoid");
}

std::string dense_json() {
  return R"({"class_name": "Sequential", "config": {"name": "dense", "layers": [
    {"class_name": "InputLayer", "config": {"batch_input_shape": [null, 6], "name": "x"}},
    {"class_name": "Dense", "config": {"name": "hidden", "units": 37, "activation": "tanh"}},
    {"class_name": "Dense", "config": {"name": "answer", "units": 3, "activation": "softmax"}}
  ]}})";
}

std::string reviews() {
  std::string out = "text\tlabel\n";
  for (int i = 0; i < 20; ++i)
    out += fmt::format("a fine film number {}\tpos\na dull book number {}\tneg\n", i % 7, i % 5);
  return out;
}

std::vector<std::string> Project::train_arguments(int epochs, int seed) const {
  return {"train",     model,
          "--data",    data,
          "--eval",    data,
          "--maxlen",  "6",
          "--lr",      "0.05",
          "--batch",   "16",
          "--seed",    std::to_string(seed),
          "--epochs",  std::to_string(epochs),
          "-o",        run,
          "--threads", "1",
          "--backend", "interpreter"};
}

Captured Project::train(const std::vector<std::string>& more) const {
  std::vector<std::string> all = train_arguments();
  all.insert(all.end(), more.begin(), more.end());
  return lathe_cli(all);
}

std::string Project::weights() const {
  std::string file = scratch.path("weights.safetensors");
  write_safetensors(
      file, {{"embedding/embeddings", Tensor::from<float>({30, 4}, std::vector<float>(120, 0.5f))},
             {"answer/kernel", Tensor::from<float>({4, 1}, {1, 1, 1, 1})},
             {"answer/bias", Tensor::from<float>({1}, {0})}});
  return file;
}

}  // namespace lathe::testing
