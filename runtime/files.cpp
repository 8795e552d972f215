#include "runtime/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "ir/base/error.h"

namespace lathe {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }

  int get() const { return fd_; }

 private:
  int fd_;
};

// O_NONBLOCK: opening a named pipe must fail in file_size() instead of waiting for a writer.
int open_regular(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail("cannot open '{}': {}", path, reason(errno));
  return fd;
}

size_t file_size(int descriptor, const std::string& path) {
  struct stat status{};
  if (::fstat(descriptor, &status) != 0) fail("cannot read '{}': {}", path, reason(errno));
  if (!S_ISREG(status.st_mode))
    fail("cannot read '{}': it is {}, a regular file was expected", path,
         S_ISDIR(status.st_mode) ? "a folder" : "not a regular file");
  return static_cast<size_t>(status.st_size);
}

// Where to write: links are followed, and replacing a device or a folder by a file is refused.
std::string resolve_target(const std::string& path, std::optional<mode_t>& old_mode) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) return path;
  if (!S_ISREG(status.st_mode))
    fail("cannot write '{}': it exists and is {}", path,
         S_ISDIR(status.st_mode) ? "a folder" : "not a regular file");
  old_mode = status.st_mode & 07777;
  std::error_code error;
  const auto resolved = std::filesystem::canonical(path, error);
  return error ? path : resolved.string();
}

std::string folder_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path();
  return parent.empty() ? "." : parent.string();
}

// A file that disappears unless it was renamed to its final name.
class TemporaryFile {
 public:
  TemporaryFile(const std::string& path, const std::string& target) : path_(path) {
    static std::atomic<unsigned> counter{0};
    const auto name = std::filesystem::path(target).filename().string();
    // Names left behind by a killed process of the same id are skipped over.
    for (int attempt = 0; attempt < 1000; ++attempt) {
      name_ = fmt::format("{}/.{}.{}-{}.tmp", folder_of(target), name, ::getpid(), counter++);
      fd_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd_ >= 0 || errno != EEXIST) break;
    }
    if (fd_ < 0) fail("cannot write '{}': {}", path_, reason(errno));
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!name_.empty()) ::unlink(name_.c_str());
  }

  int descriptor() const { return fd_; }

  void rename_to(const std::string& target) {
    check(::fsync(fd_));
    check(::close(std::exchange(fd_, -1)));
    check(::rename(name_.c_str(), target.c_str()));
    name_.clear();
  }

 private:
  void check(int result) const {
    if (result != 0) fail("cannot write '{}': {}", path_, reason(errno));
  }

  const std::string& path_;
  std::string name_;
  int fd_ = -1;
};

// The new name is in place already; a file system that cannot sync folders (EINVAL) has given all
// it can.
void sync_folder(const std::string& path, const std::string& target) {
  const Descriptor folder(::open(folder_of(target).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() >= 0 && ::fsync(folder.get()) != 0 && errno != EINVAL)
    fail("cannot make '{}' durable: {}", path, reason(errno));
}

}  // namespace

MappedFile::MappedFile(std::string path, const std::byte* data, size_t size)
    : path_(std::move(path)), data_(data), size_(size) {}

std::shared_ptr<const MappedFile> MappedFile::open(const std::string& path) {
  return of_descriptor(Descriptor(open_regular(path)).get(), path);
}

std::shared_ptr<const MappedFile> MappedFile::of_descriptor(int descriptor,
                                                            const std::string& path) {
  const size_t size = file_size(descriptor, path);
  const std::byte* data = nullptr;
  if (size > 0) {
    void* p = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (p == MAP_FAILED) fail("cannot map '{}': {}", path, reason(errno));
    data = static_cast<const std::byte*>(p);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(path, data, size));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::string read_text_file(const std::string& path, int64_t max_bytes) {
  const Descriptor file(open_regular(path));
  const size_t size = file_size(file.get(), path);
  if (size > static_cast<size_t>(max_bytes))
    fail("'{}' has {} bytes; a text file of at most {} bytes was expected", path, size, max_bytes);
  std::string text(size, '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::read(file.get(), text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot read '{}': {}", path, reason(errno));
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  text.resize(done);
  return text;
}

void FileWriter::write(const void* data, size_t size) {
  const auto* p = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t n = ::write(descriptor_, p, std::min(size, size_t{1} << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("cannot write '{}': {}", path_, reason(errno));
    p += n;
    size -= static_cast<size_t>(n);
  }
}

void write_file_atomically(const std::string& path,
                           const std::function<void(FileWriter&)>& write_content) {
  std::optional<mode_t> old_mode;
  const std::string target = resolve_target(path, old_mode);
  TemporaryFile temporary(path, target);
  if (old_mode && ::fchmod(temporary.descriptor(), *old_mode) != 0)
    fail("cannot write '{}': {}", path, reason(errno));
  FileWriter writer(temporary.descriptor(), path);
  write_content(writer);
  temporary.rename_to(target);
  sync_folder(path, target);
}

void write_file_atomically(const std::string& path, std::span<const std::byte> content) {
  write_file_atomically(path, [&](FileWriter& out) { out.write(content); });
}

void write_file_atomically(const std::string& path, std::string_view content) {
  write_file_atomically(path, std::as_bytes(std::span(content.data(), content.size())));
}

}  // namespace lathe
