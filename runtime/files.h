// Whole files: mapped for reading, replaced atomically when written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lathe {

// A read-only mapping of a regular file, alive as long as somebody holds the pointer; tensors that
// view it hold it as their owner. A file that another process shortens while it is mapped raises
// SIGBUS on access: replace model files by renaming (as write_file_atomically does), never in
// place.
class MappedFile {
 public:
  // User error naming the path and the reason if it cannot be opened or is not a regular file.
  static std::shared_ptr<const MappedFile> open(const std::string& path);
  // Maps an open file as it is now; the descriptor may be closed afterwards. `path` is for
  // messages.
  static std::shared_ptr<const MappedFile> of_descriptor(int descriptor, const std::string& path);

  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  const std::string& path() const { return path_; }

 private:
  MappedFile(std::string path, const std::byte* data, size_t size);

  std::string path_;
  const std::byte* data_;
  size_t size_;
};

// The content of a regular file as it is, without any check of its encoding. A file larger than
// `max_bytes` is a user error: text is parsed into structures many times its size.
std::string read_text_file(const std::string& path, int64_t max_bytes = int64_t{1} << 30);

// Where the callback of write_file_atomically puts its bytes, in order. Failures throw.
class FileWriter {
 public:
  FileWriter(int descriptor, const std::string& path) : descriptor_(descriptor), path_(path) {}
  void write(const void* data, size_t size);
  void write(std::span<const std::byte> bytes) { write(bytes.data(), bytes.size()); }
  void write(std::string_view text) { write(text.data(), text.size()); }

 private:
  int descriptor_;
  const std::string& path_;
};

// Replaces `path` as a whole or not at all, also across a kill or a power cut: a temporary file
// in the same folder is written, synced and renamed, then the folder is synced. On any failure,
// including an exception of the callback, the temporary file is removed and an older file at
// `path` stays as it was; the user error names `path` and the reason. A killed process may leave
// its temporary file (`.NAME.PID-N.tmp`) behind. A symbolic link is followed, not replaced; an
// existing file keeps its permissions; anything but a regular file is refused.
void write_file_atomically(const std::string& path,
                           const std::function<void(FileWriter&)>& write_content);
void write_file_atomically(const std::string& path, std::span<const std::byte> content);
void write_file_atomically(const std::string& path, std::string_view content);

}  // namespace lathe
