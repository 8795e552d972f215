#include "tools/cli.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <new>
#include <numeric>
#include <optional>

#include "ir/base/error.h"

namespace lathe::tools {
namespace {

constexpr const Verb* kVerbs[] = {&kCompile, &kRun,     &kBench,   &kCheck,   &kTrain,
                                  &kEval,    &kPredict, &kInspect, &kVersion, &kDoctor};

// Levenshtein.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const std::string_view near = nearest(word, candidates);
  return near.empty() ? "" : fmt::format("; did you mean '{}'?", near);
}

std::vector<std::string> verb_names() {
  std::vector<std::string> names;
  for (const Verb* v : kVerbs) names.emplace_back(v->name);
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

// The first word of the command line that looks like an option and is none of the verb's; empty if
// there is none.
std::string unknown_option(const CLI::App& app, std::span<const char* const> words) {
  for (const char* raw : words) {
    const std::string word = std::string(raw).substr(0, std::strcspn(raw, "="));
    if (word == "--") break;
    const bool number = word.size() > 1 && (std::isdigit(word[1]) != 0 || word[1] == '.');
    if (word.size() < 2 || word[0] != '-' || number) continue;
    const std::string name = word[1] == '-' ? word : word.substr(0, 2);
    if (app.get_option_no_throw(name) == nullptr) return name;
  }
  return "";
}

struct CommandLine {
  CLI::App app{"Lathe: model definitions to native code for CPUs, trained and run.", "lathe"};
  std::map<const CLI::App*, Action> actions;
};

void declare(CommandLine& c) {
  c.app.require_subcommand(1);
  c.app.footer("Exit status: 0 done, 1 failed, 2 usage. `lathe VERB --help` shows an example.");
  for (const Verb* v : kVerbs) {
    CLI::App* verb = c.app.add_subcommand(std::string(v->name), std::string(v->summary));
    verb->footer(fmt::format("Example:\n  {}", v->example));
    OptionList options(*verb);
    c.actions[verb] = v->setup(options);
  }
}

int usage_error(std::string_view verb, const std::string& message) {
  const std::string program = verb.empty() ? "lathe" : fmt::format("lathe {}", verb);
  fmt::print(stderr, "{}: {}\nSee `{} --help`.\n", program, message, program);
  return kUsage;
}

int report(const CommandLine& c, const CLI::ParseError& error, std::span<const char* const> words) {
  if (error.get_exit_code() == 0) return c.app.exit(error);  // --help
  const std::vector<std::string> names = verb_names();
  if (words.empty()) {
    fmt::print(stderr, "{}", c.app.help());
    return kUsage;
  }
  const std::string_view first = words[0];
  if (std::find(names.begin(), names.end(), first) == names.end()) {
    const std::string kind = first.starts_with('-') ? "option" : "verb";
    return usage_error("",
                       fmt::format("unknown {} '{}'{}", kind, first, did_you_mean(first, names)));
  }
  const CLI::App* verb = c.app.get_subcommand(std::string(first));
  const std::string unknown = unknown_option(*verb, words.subspan(1));
  if (!unknown.empty())
    return usage_error(first, fmt::format("unknown option '{}'{}", unknown,
                                          did_you_mean(unknown, option_names(*verb))));
  return usage_error(first, error.what());
}

int failed(std::string_view verb, std::string_view message) {
  fmt::print(stderr, "lathe {}: {}\n", verb, message);
  return kFailed;
}

int act(const CLI::App& verb, const Action& action) {
  const std::string name = verb.get_name();
  try {
    return action();
  } catch (const UsageError& e) {
    return usage_error(name, e.what());
  } catch (const Error& e) {
    return failed(name, e.kind() == ErrorKind::Internal
                            ? fmt::format("a bug in lathe: {}", e.what())
                            : std::string(e.what()));
  } catch (const std::bad_alloc&) {
    return failed(name, "out of memory");
  } catch (const std::exception& e) {
    return failed(name, fmt::format("a bug in lathe: {}", e.what()));
  }
}

// Data that did not reach its reader is a failure, such as stdout on a full disk.
int flushed(int status) {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return status;
  fmt::print(stderr, "lathe: cannot write to stdout: {}\n", std::strerror(errno));
  return kFailed;
}

}  // namespace

OptionRules& OptionRules::required() {
  option_->required();
  return *this;
}

OptionRules& OptionRules::called(const std::string& value) {
  option_->type_name(value);
  return *this;
}

OptionRules& OptionRules::one_of(const std::vector<std::string>& names, Case letters) {
  CLI::IsMember rule =
      letters == Case::Ignored ? CLI::IsMember(names, CLI::ignore_case) : CLI::IsMember(names);
  option_->check(rule.description(""));
  return called(fmt::format("{}", fmt::join(names, "|")));
}

template <class T>
OptionRules& OptionRules::in_range(T least, T most) {
  option_->check(CLI::Range(least, most).description(""));
  return *this;
}

template OptionRules& OptionRules::in_range(int, int);
template OptionRules& OptionRules::in_range(int64_t, int64_t);
template OptionRules& OptionRules::in_range(double, double);

OptionRules& OptionRules::non_negative() {
  option_->check(CLI::Validator(CLI::NonNegativeNumber).description(""));
  return *this;
}

OptionRules& OptionRules::positive() {
  option_->check(CLI::Validator(CLI::PositiveNumber).description(""));
  return *this;
}

OptionRules& OptionRules::one_value_each() {
  option_->allow_extra_args(false);
  return *this;
}

OptionRules& OptionRules::separated_by(char mark) {
  option_->delimiter(mark);
  return *this;
}

OptionRules& OptionRules::show_default() {
  option_->capture_default_str();
  return *this;
}

template <class T>
OptionRules OptionList::add(const std::string& names, T& value, const std::string& help) {
  CLI::Option* option = app_.add_option(names, value, help);
  if (!names.starts_with('-')) option->type_name("");  // the name of an argument says what it is
  else if (option->get_type_name() == CLI::detail::type_name<int>() ||
           option->get_type_name() == CLI::detail::type_name<uint64_t>())
    option->type_name("N");
  else if (option->get_type_name() == CLI::detail::type_name<double>()) option->type_name("X");
  return OptionRules(option);
}

template OptionRules OptionList::add(const std::string&, std::string&, const std::string&);
template OptionRules OptionList::add(const std::string&, int&, const std::string&);
template OptionRules OptionList::add(const std::string&, int64_t&, const std::string&);
template OptionRules OptionList::add(const std::string&, double&, const std::string&);
template OptionRules OptionList::add(const std::string&, std::vector<std::string>&,
                                     const std::string&);
template OptionRules OptionList::add(const std::string&, std::optional<std::string>&,
                                     const std::string&);
template OptionRules OptionList::add(const std::string&, std::optional<int64_t>&,
                                     const std::string&);
template OptionRules OptionList::add(const std::string&, std::optional<uint64_t>&,
                                     const std::string&);
template OptionRules OptionList::add(const std::string&, std::optional<double>&,
                                     const std::string&);

void OptionList::flag(const std::string& name, bool& value, const std::string& help) {
  app_.add_flag(name, value, help);
}

std::span<const Verb* const> verbs() { return kVerbs; }

std::string_view nearest(std::string_view word, std::span<const std::string> candidates) {
  std::string_view best;
  size_t least = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& c : candidates) {
    const bool prefix = word.size() >= 3 && c.starts_with(word);
    const size_t distance = prefix ? 1 : edit_distance(word, c);
    if (distance < least) {
      least = distance;
      best = c;
    }
  }
  return best;
}

int run_cli(int argc, const char* const* argv) {
  CommandLine c;
  declare(c);
  try {
    c.app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return flushed(report(c, e, std::span(argv, static_cast<size_t>(argc)).subspan(1)));
  }
  const CLI::App* verb = c.app.get_subcommands().at(0);
  return flushed(act(*verb, c.actions.at(verb)));
}

}  // namespace lathe::tools
