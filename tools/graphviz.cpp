#include <sys/wait.h>

#include <cstdio>

#include "runtime/files.h"
#include "runtime/temporary_folder.h"
#include "tools/drawing.h"

namespace lathe::tools {
namespace {

constexpr int kNotFound = 127;  // the shell's status for a missing command

std::string quoted_for_shell(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string svg_of_dot(const std::string& dot) {
  const TemporaryFolder scratch;
  const std::string source = scratch.path("graph.dot");
  write_file_atomically(source, dot);
  const std::string command = "dot -Tsvg " + quoted_for_shell(source);
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
