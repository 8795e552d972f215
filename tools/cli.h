// The command line: one program, one verb a file. CLI11 parses; its header takes longer to compile
// than most verbs and stays in cli.cpp.
#pragma once

#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace lathe::tools {

enum class Case { Matters, Ignored };

// What is demanded of an option, said after its declaration:
// `options.add("--rtol", rtol, "Relative tolerance").non_negative().show_default()`.
class OptionRules {
 public:
  explicit OptionRules(CLI::Option* option) : option_(option) {}

  OptionRules& required();
  // What --help calls the value: "FILE", "NAME=N".
  OptionRules& called(const std::string& value);
  OptionRules& one_of(const std::vector<std::string>& names, Case letters = Case::Matters);
  template <class T>  // int, int64_t or double
  OptionRules& in_range(T least, T most);
  OptionRules& non_negative();
  OptionRules& positive();
  // A vector's values come one for each mention of the option, not as all words that follow it.
  OptionRules& one_value_each();
  // A vector's values may share one word, with this between them.
  OptionRules& separated_by(char mark);
  // --help shows the value that the variable has now.
  OptionRules& show_default();

 private:
  CLI::Option* option_;
};

// The options of a verb, each bound to a variable that must outlive parsing. Names as in
// "-o,--output"; without dashes it is a positional argument.
class OptionList {
 public:
  explicit OptionList(CLI::App& app) : app_(app) {}

  template <class T>  // one of those that cli.cpp instantiates
  OptionRules add(const std::string& names, T& value, const std::string& help);
  void flag(const std::string& name, bool& value, const std::string& help);

 private:
  CLI::App& app_;
};

// What a verb does once its options are parsed; the exit status.
using Action = std::function<int()>;

struct Verb {
  std::string_view name;
  std::string_view summary;
  std::string_view example;              // shown at the end of --help
  Action (*setup)(OptionList& options);  // declares the verb's options
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
