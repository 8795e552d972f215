#include "runtime/options.h"

#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "ir/base/error.h"

namespace lathe {
namespace {

// More than this is a slip of the finger; it also keeps per-thread tables small.
constexpr int kMostThreads = 1024;

int parse_threads(const char* variable, std::string_view value) {
  std::string_view first = value.substr(0, value.find(','));
  int threads = 0;
  auto [end, error] = std::from_chars(first.data(), first.data() + first.size(), threads);
  if (error != std::errc{} || end != first.data() + first.size() || threads < 1 ||
      threads > kMostThreads) {
    fail("{}='{}': expected a number of threads from 1 to {}", variable, value, kMostThreads);
  }
  return threads;
}

std::string value_of(ReadVariable read, const char* name) {
  const char* value = read(name);
  return value ? value : "";
}

std::string cache_dir(ReadVariable read) {
  if (const char* chosen = read("LATHE_CACHE_DIR")) return chosen;
  if (std::string cache = value_of(read, "XDG_CACHE_HOME"); !cache.empty()) return cache + "/lathe";
  if (std::string home = value_of(read, "HOME"); !home.empty()) return home + "/.cache/lathe";
  return "";
}

}  // namespace

bool Options::explains(std::string_view topic) const {
  std::string_view rest = verbose;
  while (!rest.empty()) {
    size_t comma = rest.find(',');
    if (rest.substr(0, comma) == topic) return true;
    rest = comma == std::string_view::npos ? "" : rest.substr(comma + 1);
  }
  return false;
}

Options read_options(ReadVariable read) {
  Options result;
  result.isa = value_of(read, "LATHE_ISA");
  for (const char* variable : {"LATHE_THREADS", "OMP_NUM_THREADS"}) {
    std::string value = value_of(read, variable);
    if (value.empty()) continue;
    result.threads = parse_threads(variable, value);
    break;
  }
  result.verbose = value_of(read, "LATHE_VERBOSE");
  result.cache_dir = cache_dir(read);
  result.llvm_module = value_of(read, "LATHE_LLVM_SO");
  result.wait_compile = !value_of(read, "LATHE_WAIT_COMPILE").empty();
  result.no_color = !value_of(read, "NO_COLOR").empty();
  return result;
}

const Options& options() {
  static const Options result =
      read_options([](const char* name) -> const char* { return std::getenv(name); });
  return result;
}

char** process_environment() { return environ; }

}  // namespace lathe
