// The command line under test, and a folder with a small classifier to try it on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/scratch.h"

namespace lathe::testing {

struct Captured {
  int status = 0;  // of a program that a signal ended: minus the signal
  std::string out, err;
};

// Sends a descriptor into a file while it lives.
class Redirection {
 public:
  Redirection(int descriptor, const std::string& path);
  Redirection(const Redirection&) = delete;
  Redirection& operator=(const Redirection&) = delete;
  ~Redirection();

 private:
  int descriptor_, saved_;
};

// `lathe ARGUMENTS` in this process.
Captured lathe_cli(const std::vector<std::string>& arguments);

// A program in a process of its own, found in PATH unless its name has a slash; `environment`
// ("NAME=VALUE") on top of this one's. Its stdout goes to `stdout_path` if given, else into `out`.
Captured run_program(const std::vector<std::string>& command,
                     const std::vector<std::string>& environment = {},
                     const std::string& stdout_path = "");

// The built program `lathe`, beside the running test.
std::string lathe_program();

// Keras configurations of classifiers for texts of any length: Embedding(30, 4), a pooling or an
// LSTM(5), Dense(units).
std::string pooling_json(int units = 1, const char* activation = "sigmoid");
std::string fixed_length_json();  // of 6 tokens
std::string lstm_json();
// One input x f32[batch, 6], two Dense layers.
std::string dense_json();

// A table of 40 reviews, "pos" or "neg".
std::string reviews();

// A folder with a model, data and, once trained, a run.
struct Project {
  explicit Project(const std::string& config = pooling_json())
      : model(scratch.write("model.json", config)) {}

  // `lathe train` on one thread, interpreted.
  std::vector<std::string> train_arguments(int epochs = 6, int seed = 1) const;
  Captured train(const std::vector<std::string>& more = {}) const;
  // A file of weights under which the pooling model answers sigmoid(2), whatever the tokens.
  std::string weights() const;

  ScratchFolder scratch;
  std::string model;
  std::string data = scratch.write("reviews.tsv", reviews());
  std::string run = scratch.path("run");
};

}  // namespace lathe::testing
