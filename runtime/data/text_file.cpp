#include "runtime/data/text_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "ir/base/error.h"
#include "runtime/data/utf8.h"

namespace lathe::data {
namespace {

struct GzClose {
  void operator()(gzFile_s* file) const { gzclose(file); }
};
using GzHandle = std::unique_ptr<gzFile_s, GzClose>;

[[noreturn]] void fail_gzip(const std::string& path, gzFile file, size_t bytes) {
  int code = Z_OK;
  const char* reason = gzerror(file, &code);
  if (code == Z_ERRNO) fail("{}: cannot read: {}", path, std::strerror(errno));
  if (code == Z_BUF_ERROR)
    fail("{}: gzip data is cut short after {} bytes of content; expected its end mark", path,
         bytes);
  fail("{}: gzip data is damaged after {} bytes of content ({})", path, bytes, reason);
}

GzHandle open_gzip(const std::string& path, int64_t& file_bytes) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail("{}: cannot open: {}", path, std::strerror(errno));
  struct stat status{};
  if (::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
    ::close(fd);
    fail("{}: is a folder; expected a file", path);
  }
  file_bytes = status.st_size;
  GzHandle file(gzdopen(fd, "rb"));
  if (!file) {
    ::close(fd);
    fail("{}: cannot open: out of memory", path);
  }
  gzbuffer(file.get(), 1u << 18);
  return file;
}

int line_of(std::string_view text, size_t at) {
  return 1 + static_cast<int>(std::count(text.begin(), text.begin() + static_cast<long>(at), '\n'));
}

}  // namespace

std::string read_bytes(const std::string& path, int64_t max_bytes) {
  int64_t file_bytes = 0;
  const GzHandle file = open_gzip(path, file_bytes);
  constexpr size_t chunk = size_t{1} << 20;
  std::string out;
  size_t used = 0;
  while (true) {
    // Most text compresses to about 40 %, so one reservation usually does.
    if (out.capacity() < used + chunk)
      out.reserve(std::max(used * 2, static_cast<size_t>(file_bytes)) + chunk);
    out.resize(used + chunk);
    const int n = gzread(file.get(), out.data() + used, static_cast<unsigned>(chunk));
    if (n < 0) fail_gzip(path, file.get(), used);
    used += static_cast<size_t>(n);
    if (static_cast<int64_t>(used) > max_bytes)
      fail("{}: holds more than the {} bytes that are read at most", path, max_bytes);
    if (n < static_cast<int>(chunk)) break;
  }
  out.resize(used);
  int code = Z_OK;
  gzerror(file.get(), &code);
  if (code != Z_OK) fail_gzip(path, file.get(), used);
  if (path.ends_with(".gz") && file_bytes > 0 && gzdirect(file.get()) != 0)
    fail("{}: does not hold gzip data, though its name says so", path);
  return out;
}

TextFile read_text(const std::string& path) {
  TextFile file{read_bytes(path), 0};
  std::string& text = file.text;
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF"))
    fail("{}:1: UTF-16 text; expected UTF-8", path);
  if (const size_t nul = text.find('\0'); nul != std::string::npos)
    fail("{}:{}: a NUL byte; expected UTF-8 text", path, line_of(text, nul));
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  file.replaced = replace_invalid_utf8(text);
  return file;
}

}  // namespace lathe::data
