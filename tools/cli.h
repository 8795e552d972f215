// The command line: one program, one verb a file.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <span>
#include <stdexcept>
#include <string_view>

namespace lathe::tools {

// What a verb does once its options are parsed; the exit status.
using Action = std::function<int()>;

struct Verb {
  std::string_view name;
  std::string_view summary;
  std::string_view example;        // shown at the end of --help
  Action (*setup)(CLI::App& app);  // declares the verb's options
};

extern const Verb kCompile, kRun, kBench, kCheck, kTrain, kEval, kPredict, kInspect, kVersion,
    kDoctor;

std::span<const Verb* const> verbs();

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

// A command line that cannot be meant; thrown by actions, reported like a parsing error.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The candidate that `word` is most likely a slip of, or nothing.
std::string_view nearest(std::string_view word, std::span<const std::string> candidates);

// Parses, runs the verb and reports errors on stderr. Throws nothing.
int run_cli(int argc, const char* const* argv);

}  // namespace lathe::tools
