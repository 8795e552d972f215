#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "runtime/files.h"
#include "tools/drawing.h"

namespace lathe::tools {
namespace {

constexpr int kNotFound = 127;  // the shell's status for a missing command

// A file of ours for the time of one command.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content) {
    path_ = (std::filesystem::temp_directory_path() / "lathe-XXXXXX").string();
    const int descriptor = ::mkstemp(path_.data());
    if (descriptor < 0) fail("{}: cannot make a temporary file", path_);
    FileWriter(descriptor, path_).write(std::string_view(content));
    ::close(descriptor);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string quoted_for_shell(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string svg_of_dot(const std::string& dot) {
  const TemporaryFile source(dot);
  const std::string command = "dot -Tsvg " + quoted_for_shell(source.path());
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) fail("cannot start Graphviz' `dot`");
  std::string svg;
  char buffer[1 << 16];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) svg.append(buffer, n);
  const int status = ::pclose(pipe);
  if (WIFEXITED(status) && WEXITSTATUS(status) == kNotFound)
    fail(
        "--format svg needs Graphviz, whose `dot` is not installed (Debian: apt install "
        "graphviz); --format dot works without");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    fail("Graphviz' `dot` failed with status {}", status);
  return svg;
}

}  // namespace lathe::tools
