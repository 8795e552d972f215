#include "ir/scanner.h"

#include <algorithm>
#include <charconv>

namespace lathe {
namespace {

bool blank(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

}  // namespace

void Scanner::advance() {
  size_t i = static_cast<size_t>(token_.data() + token_.size() - text_.data());
  if (token_.data() == nullptr) i = 0;
  while (i < text_.size() && (blank(text_[i]) || comment(i)))
    i = comment(i) ? std::min(text_.find('\n', i), text_.size()) : i + 1;
  token_ = text_.substr(i, length(i));
}

bool Scanner::accept(std::string_view t) {
  if (!at(t)) return false;
  advance();
  return true;
}

void Scanner::expect(std::string_view t) {
  if (!accept(t)) error(fmt::format("'{}'", t));
}

std::string Scanner::where() const {
  const std::string_view before =
      text_.substr(0, static_cast<size_t>(token_.data() - text_.data()));
  const size_t line = 1 + static_cast<size_t>(std::count(before.begin(), before.end(), '\n'));
  const size_t column = before.size() - (before.rfind('\n') + 1) + 1;
  return fmt::format("{}:{}", line, column);
}

void Scanner::error(const std::string& expected) const {
  fail("{}: expected {}, found {}", where(), expected, found());
}

void Scanner::refuse(const std::string& message) const { fail("{}: {}", where(), message); }

std::string Scanner::found() const {
  if (token_.empty()) return "the end";
  std::string shown = "'";
  for (char c : token_.substr(0, 40)) shown += c >= ' ' && c <= '~' ? c : '?';
  return shown + "'";
}

size_t Scanner::number_end(size_t i) const {
  const auto here = [&](auto test) { return i < text_.size() && test(text_[i]); };
  while (here(is_digit)) ++i;
  if (here([](char c) { return c == '.'; }))
    for (++i; here(is_digit);) ++i;
  if (here([](char c) { return c == 'e'; })) {
    ++i;
    if (here([](char c) { return c == '+' || c == '-'; })) ++i;
    while (here(is_digit)) ++i;
  }
  return i;
}

// After the closing quote; an unclosed string is a lone quote.
size_t Scanner::string_end(size_t begin) const {
  for (size_t i = begin + 1; i < text_.size() && text_[i] != '\n'; ++i) {
    if (text_[i] == '"') return i + 1;
    if (text_[i] == '\\') ++i;
  }
  return begin + 1;
}

size_t Scanner::length(size_t begin) const {
  if (begin >= text_.size()) return 0;
  if (text_[begin] == '"') return string_end(begin) - begin;
  if (is_digit(text_[begin])) return number_end(begin) - begin;
  if (!is_letter(text_[begin])) return 1;
  size_t i = begin;
  while (i < text_.size() && (is_letter(text_[i]) || is_digit(text_[i]))) ++i;
  return i - begin;
}

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else out += c;
  }
  return out + "\"";
}

std::string take_string(Scanner& in) {
  const std::string_view t = in.token();
  std::string out;
  for (size_t i = 1; i + 1 < t.size(); ++i) {
    if (t[i] != '\\') {
      out += t[i];
      continue;
    }
    const char c = t[++i];
    unsigned char byte = 0;
    if (c == '"' || c == '\\') {
      out += c;
    } else if (c == 'x' && i + 3 < t.size() &&
               std::from_chars(t.data() + i + 1, t.data() + i + 3, byte, 16).ptr ==
                   t.data() + i + 3) {
      out += static_cast<char>(byte);
      i += 2;
    } else {
      in.error("a string with the escapes \\\", \\\\ and \\xNN");
    }
  }
  in.advance();
  return out;
}

}  // namespace lathe
