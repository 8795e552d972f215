// RUN/, what training leaves behind and everything else starts from:
//
//   model.json              the Keras configuration of the network, as it was given
//   config.json             how texts become inputs, the labels, and the training's options
//   vocabulary.txt          the words by id
//   weights.safetensors     parameters and states of the model after the best epoch
//   checkpoint.safetensors  everything that training goes on with after the last epoch
//   history.csv             one line an epoch
//
// These files belong together, so they are replaced together. A save writes all that changes into
// RUN/.next/, renames that to RUN/.commit/, which is the moment the save counts, and then moves the
// files up. Readers look into RUN/.commit/ first. A kill at any moment therefore leaves the old set
// or the new one, never a mixture; the next writer moves up what is left in RUN/.commit/.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/sequence.h"
#include "runtime/data/vocabulary.h"
#include "runtime/train/fit.h"

namespace lathe::train {

struct TextOptions {
  int64_t maxlen = 200;   // tokens of an example after padding and truncating
  int64_t vocab = 10000;  // most ids, padding and unknown among them
  data::PadOptions pad;
};

struct TrainingOptions {
  std::string optimizer = "adam";
  std::string loss = "bce";
  FitOptions fit;
  int64_t examples = 0;  // of the training data, to notice on resuming that it is another
};

struct RunConfig {
  TextOptions text;
  std::vector<std::string> labels;  // by class id
  TrainingOptions training;
};

struct Run {
  std::string model_json;
  RunConfig config;
  data::Vocabulary vocabulary{{}};
};

// Whether `path` is a folder with a run that has saved at least once.
bool is_run_folder(const std::string& path);

// Where the file `name` of the run is at this moment.
std::string run_file(const std::string& path, std::string_view name);
inline constexpr std::string_view kModelFile = "model.json";
inline constexpr std::string_view kWeightsFile = "weights.safetensors";

// User errors name the file and what was expected: a missing or unreadable file, malformed JSON, a
// key that is missing or out of range, a vocabulary larger than its option.
Run read_run(const std::string& path);
std::vector<EpochRecord> read_history(const std::string& path);

// What training goes on with: all tensors in storage of their own, and the history, which ends with
// the checkpoint's epoch.
struct Checkpoint {
  TensorStore store;
  std::vector<EpochRecord> history;
};
Checkpoint read_checkpoint(const std::string& path);

// The one who may write; a second one, in whatever process, is a user error.
class RunWriter {
 public:
  // Makes the folder and those above it, and completes a save that was interrupted.
  explicit RunWriter(std::string path);
  RunWriter(const RunWriter&) = delete;
  RunWriter& operator=(const RunWriter&) = delete;
  ~RunWriter();

  // A run's first save: all files, whatever run was there before. `best`: tensors of the model.
  void save(const Run& run, const Checkpoint& checkpoint, const TensorStore& best);
  // A later one. Without `best` the kept weights stay.
  void save(const Checkpoint& checkpoint, const TensorStore* best);

 private:
  void commit();

  std::string path_;
  int folder_ = -1;  // its descriptor holds the lock
};

}  // namespace lathe::train
