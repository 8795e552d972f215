// The three kinds of error and the two ways they travel.
//
// Inside the library an error is thrown as `lathe::Error`; functions that check something on behalf
// of several callers (type inference, parsing of one value) return `Result<T>` instead, so that a
// builder may throw it and a verifier may collect it. The C ABI turns both into a status.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <variant>

namespace lathe {

enum class ErrorKind {
  User,         // the user's model, data or file: names the place and what was expected
  Unsupported,  // a well-formed request outside what Lathe does: names op, version, attribute
  Internal,     // a bug of ours: carries the IR or condition that shows it
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::User, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void fail_unsupported(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(ErrorKind::Unsupported, fmt::format(format, std::forward<Args>(args)...));
}

[[noreturn]] void fail_internal(const char* file, int line, const char* condition,
                                const std::string& message);

// Checks an invariant of ours; always on, because a wrong answer is worse than a slow check.
#define LATHE_ASSERT(condition, ...)                                                       \
  do {                                                                                     \
    if (!(condition))                                                                      \
      ::lathe::fail_internal(__FILE__, __LINE__, #condition, fmt::format("" __VA_ARGS__)); \
  } while (false)

// The message of a failed check, without a kind: whoever receives it knows whose fault it is.
struct Failure {
  std::string message;
};

template <class... Args>
Failure failure(fmt::format_string<Args...> format, Args&&... args) {
  return Failure{fmt::format(format, std::forward<Args>(args)...)};
}

template <class T>
class Result {
 public:
  Result(T value) : state_(std::move(value)) {}
  Result(Failure f) : state_(std::move(f)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  const std::string& error() const { return std::get<1>(state_).message; }

  // Precondition: ok().
  T& operator*() { return std::get<0>(state_); }
  const T& operator*() const { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }

  // The value, or a thrown user error.
  T&& value() && {
    if (!ok()) throw Error(ErrorKind::User, error());
    return std::get<0>(std::move(state_));
  }

 private:
  std::variant<T, Failure> state_;
};

}  // namespace lathe
