#include "runtime/train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>

#include "runtime/data/labels.h"
#include "runtime/data/text_file.h"
#include "runtime/files.h"
#include "runtime/safetensors.h"
#include "runtime/train/run_config.h"

namespace lathe::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kConfigFile = "config.json";
constexpr std::string_view kVocabularyFile = "vocabulary.txt";
constexpr std::string_view kCheckpointFile = "checkpoint.safetensors";
constexpr std::string_view kHistoryFile = "history.csv";
constexpr std::string_view kEpochKey = "epoch";

fs::path next_folder(const std::string& run) { return fs::path(run) / ".next"; }
fs::path commit_folder(const std::string& run) { return fs::path(run) / ".commit"; }

std::vector<NamedTensor> named(const TensorStore& store) {
  std::vector<NamedTensor> out;
  for (const auto& [name, tensor] : store) out.push_back({name, tensor});
  return out;
}

void check_folder(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) fail("{}: no such folder; expected a run", path);
  if (!fs::is_directory(status)) fail("{}: is a file; expected the folder of a run", path);
}

std::string read_part(const std::string& path, std::string_view name) {
  check_folder(path);
  const std::string file = run_file(path, name);
  if (!fs::exists(file))
    fail("{}: no such file; expected a run, the folder that `lathe train` writes", file);
  return read_text_file(file);
}

// A save in the making: RUN/.next/, gone again if anything fails.
class Save {
 public:
  explicit Save(const std::string& run) : run_(run), folder_(next_folder(run)) {
    remove();
    std::error_code error;
    fs::create_directory(folder_, error);
    if (error) fail("{}: cannot make the folder: {}", folder_.string(), error.message());
  }
  Save(const Save&) = delete;
  Save& operator=(const Save&) = delete;
  ~Save() { remove(); }

  void text(std::string_view name, const std::string& content) const {
    write_file_atomically(file(name), std::string_view(content));
  }

  void tensors(std::string_view name, const TensorStore& store,
               const std::map<std::string, std::string>& metadata = {}) const {
    write_safetensors(file(name), named(store), metadata);
  }

  void checkpoint(const Checkpoint& c) const {
    LATHE_ASSERT(!c.history.empty());
    tensors(kCheckpointFile, c.store,
            {{std::string(kEpochKey), std::to_string(c.history.back().epoch)}});
    text(kHistoryFile, print_history(c.history));
  }

  std::string file(std::string_view name) const { return (folder_ / name).string(); }

  // From here on the save counts.
  void publish() const {
    std::error_code error;
    fs::rename(folder_, commit_folder(run_), error);
    if (error) fail("{}: cannot rename the folder: {}", folder_.string(), error.message());
  }

 private:
  void remove() const {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
  }

  const std::string& run_;
  fs::path folder_;
};

}  // namespace

std::string run_file(const std::string& path, std::string_view name) {
  const fs::path committed = commit_folder(path) / name;
  std::error_code ignored;
  return (fs::exists(committed, ignored) ? committed : fs::path(path) / name).string();
}

bool is_run_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && fs::exists(run_file(path, kConfigFile), ignored);
}

Run read_run(const std::string& path) {
  Run run;
  run.config = parse_config(read_part(path, kConfigFile), run_file(path, kConfigFile));
  run.model_json = read_part(path, kModelFile);
  read_part(path, kVocabularyFile);
  run.vocabulary = data::Vocabulary::load(run_file(path, kVocabularyFile));
  if (run.vocabulary.size() > run.config.text.vocab)
    fail("{}: {} words, expected at most {} (\"vocab\" in {})", run_file(path, kVocabularyFile),
         run.vocabulary.size(), run.config.text.vocab, kConfigFile);
  return run;
}

std::vector<EpochRecord> read_history(const std::string& path) {
  return parse_history(read_part(path, kHistoryFile), run_file(path, kHistoryFile));
}

Checkpoint read_checkpoint(const std::string& path) {
  check_folder(path);
  Checkpoint out;
  const std::string file = run_file(path, kCheckpointFile);
  const SafetensorsFile stored = read_safetensors(file);
  for (const NamedTensor& t : stored.tensors) out.store[t.name] = t.tensor.clone();
  out.history = read_history(path);
  const auto epoch = stored.metadata.find(std::string(kEpochKey));
  const int64_t last = out.history.empty() ? 0 : out.history.back().epoch;
  if (epoch == stored.metadata.end() || epoch->second != std::to_string(last))
    fail("{}: written after epoch {}, expected {}, the last one of {}", file,
         epoch == stored.metadata.end() ? "(unknown)" : epoch->second, last,
         run_file(path, kHistoryFile));
  return out;
}

RunWriter::RunWriter(std::string path) : path_(std::move(path)) {
  std::error_code error;
  fs::create_directories(path_, error);
  if (error && !fs::is_directory(path_))
    fail("{}: cannot make the folder: {}", path_, error.message());
  folder_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0) fail("{}: cannot open the folder: {}", path_, std::strerror(errno));
  if (::flock(folder_, LOCK_EX | LOCK_NB) != 0) {
    ::close(folder_);
    fail("{}: another process is training this run", path_);
  }
  try {
    commit();
  } catch (...) {
    ::close(folder_);
    throw;
  }
}

RunWriter::~RunWriter() { ::close(folder_); }

void RunWriter::save(const Run& run, const Checkpoint& checkpoint, const TensorStore& best) {
  const Save next(path_);
  next.text(kModelFile, run.model_json);
  next.text(kConfigFile, print_config(run.config));
  run.vocabulary.save(next.file(kVocabularyFile));
  next.tensors(kWeightsFile, best);
  next.checkpoint(checkpoint);
  next.publish();
  commit();
}

void RunWriter::save(const Checkpoint& checkpoint, const TensorStore* best) {
  const Save next(path_);
  if (best != nullptr) next.tensors(kWeightsFile, *best);
  next.checkpoint(checkpoint);
  next.publish();
  commit();
}

// Moves the files of RUN/.commit/ up. Between any two steps readers see the new set.
void RunWriter::commit() {
  const fs::path committed = commit_folder(path_);
  if (!fs::exists(committed)) return;
  ::fsync(folder_);
  for (const fs::directory_entry& entry : fs::directory_iterator(committed)) {
    std::error_code error;
    fs::rename(entry.path(), fs::path(path_) / entry.path().filename(), error);
    if (error) fail("{}: cannot move it to {}: {}", entry.path().string(), path_, error.message());
  }
  ::fsync(folder_);
  std::error_code ignored;
  fs::remove_all(committed, ignored);
}

}  // namespace lathe::train
