#include "runtime/data/tokenize.h"

#include <utf8proc.h>

#include <array>
#include <cstdint>

#include "runtime/data/utf8.h"

namespace lathe::data {
namespace {

enum class Class : uint8_t { Separator, Word, Apostrophe, Single, Mark };

constexpr auto kAsciiClass = [] {
  std::array<Class, 128> table{};
  for (size_t c = 0; c < 128; ++c) {
    const bool word = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    table[c] = word ? Class::Word : c == '\'' ? Class::Apostrophe : Class::Separator;
  }
  return table;
}();

struct Range {
  int32_t first, last;
};

// Han and Kana letters by block (Unicode 15): radicals, iteration marks and numerals, Hiragana,
// Katakana, extensions, compatibility and half-width forms, supplementary planes.
constexpr Range kHanKana[] = {
    {0x2E80, 0x2FD5}, {0x3005, 0x3007}, {0x3021, 0x3029},   {0x3031, 0x3035},
    {0x3038, 0x303C}, {0x3041, 0x3096}, {0x309D, 0x309F},   {0x30A1, 0x30FA},
    {0x30FC, 0x30FF}, {0x31F0, 0x31FF}, {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},
    {0xF900, 0xFAFF}, {0xFF66, 0xFF9D}, {0x1AFF0, 0x1B16F}, {0x20000, 0x3FFFD}};

bool is_han_or_kana(int32_t c) {
  if (c < kHanKana[0].first) return false;
  for (const Range& range : kHanKana)
    if (c >= range.first && c <= range.last) return true;
  return false;
}

Class class_of(int32_t c) {
  if (is_han_or_kana(c)) return Class::Single;
  if (c == kReplacement) return Class::Separator;
  if (c == 0x2019) return Class::Apostrophe;
  switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return Class::Word;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return Class::Mark;
    case UTF8PROC_CATEGORY_SO: return c > 0xFF ? Class::Single : Class::Separator;
    default: return Class::Separator;
  }
}

struct Unit {
  Class kind;
  size_t length;
};

Unit unit_at(std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {kAsciiClass[byte], 1};
  const CodePoint c = decode_first(text.substr(at));
  return {class_of(c.value), static_cast<size_t>(c.length)};
}

// The end of the word that `at` is inside of. An apostrophe belongs to it if a letter follows.
size_t word_end(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Unit unit = unit_at(text, at);
    size_t next = at + unit.length;
    if (unit.kind == Class::Apostrophe) {
      if (next == text.size()) return at;
      const Unit after = unit_at(text, next);
      if (after.kind != Class::Word) return at;
      next += after.length;
    } else if (unit.kind != Class::Word && unit.kind != Class::Mark) {
      return at;
    }
    at = next;
  }
  return at;
}

size_t marks_end(std::string_view text, size_t at) {
  while (at < text.size()) {
    const Unit unit = unit_at(text, at);
    if (unit.kind != Class::Mark) break;
    at += unit.length;
  }
  return at;
}

}  // namespace

void tokenize(std::string_view text, std::vector<std::string_view>& tokens) {
  for (size_t at = 0; at < text.size();) {
    const Unit unit = unit_at(text, at);
    size_t end = at + unit.length;
    if (unit.kind == Class::Word || unit.kind == Class::Single) {
      end = unit.kind == Class::Word ? word_end(text, end) : marks_end(text, end);
      tokens.push_back(text.substr(at, end - at));
    }
    at = end;
  }
}

std::vector<std::string_view> tokenize(std::string_view text) {
  std::vector<std::string_view> tokens;
  tokenize(text, tokens);
  return tokens;
}

}  // namespace lathe::data
