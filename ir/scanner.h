// Cuts the text forms of graphs and kernels into tokens, and says where a token is.
#pragma once

#include <string>
#include <string_view>

#include "ir/base/error.h"

namespace lathe {

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

// Tokens are words (letters, digits, '_'), numbers, strings in double quotes (with their quotes,
// escapes still in place) and single other characters. Blanks and `// ..` to the line's end are
// skipped. Copies are cheap and serve as marks.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) { advance(); }

  std::string_view token() const { return token_; }  // empty at the end
  bool at(std::string_view t) const { return token_ == t; }
  bool at_number() const { return !token_.empty() && is_digit(token_[0]); }
  bool at_word() const { return !token_.empty() && is_letter(token_[0]); }
  bool at_string() const { return token_.size() >= 2 && token_[0] == '"'; }

  void advance();
  bool accept(std::string_view t);
  void expect(std::string_view t);

  // Throw user errors "line:column: expected .., found .." and "line:column: message".
  [[noreturn]] void error(const std::string& expected) const;
  [[noreturn]] void refuse(const std::string& message) const;

 private:
  std::string where() const;
  std::string found() const;
  bool comment(size_t i) const { return text_.substr(i, 2) == "//"; }
  size_t length(size_t begin) const;
  size_t number_end(size_t i) const;
  size_t string_end(size_t begin) const;

  std::string_view text_, token_;
};

// Text in double quotes: `"` and `\` after a backslash, control characters as \xNN; and back.
std::string quoted(std::string_view text);
// Precondition: in.at_string(). Unknown escapes are a user error.
std::string take_string(Scanner& in);

}  // namespace lathe
