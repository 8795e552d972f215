// The options of `lathe train`, and how a resumed run's own take their place.
#pragma once

#include <optional>
#include <string>

#include "runtime/train/run_folder.h"
#include "tools/compute.h"

namespace lathe::tools {

struct TrainArguments {
  std::string model, data, eval, out;
  bool resume = false;
  bool json = false;
  std::optional<int64_t> maxlen, vocab, epochs, batch;
  std::optional<uint64_t> seed;
  std::optional<std::string> optimizer, loss;
  std::optional<double> learning_rate;
  Compute compute;
};

// What the network itself says: 0 or empty where it does not.
struct ModelDefaults {
  int64_t length = 0;     // tokens of its input
  int64_t embedding = 0;  // rows of its embedding
  std::string loss;
};

// A new run's configuration: the arguments, else the model's, else the defaults. More words than
// the embedding has rows are a user error. Labels and example count stay empty.
train::RunConfig new_config(const TrainArguments& a, const ModelDefaults& model);

// A resumed run's: its own, with the arguments' epochs. Any other argument that differs from the
// run's is a user error naming both.
train::RunConfig resumed_config(const TrainArguments& a, const train::RunConfig& run);

}  // namespace lathe::tools
