#include "runtime/data/utf8.h"

#include <utf8proc.h>

#include <cstring>

namespace lathe::data {
namespace {

// Length of the valid UTF-8 prefix.
size_t valid_prefix(std::string_view text) {
  size_t at = 0;
  while (true) {
    at += ascii_prefix(text.substr(at));
    if (at == text.size()) return at;
    const CodePoint c = decode_first(text.substr(at));
    if (!c.valid) return at;
    at += static_cast<size_t>(c.length);
  }
}

}  // namespace

CodePoint decode_first(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {first, 1, true};
  utf8proc_int32_t value = -1;
  const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                       static_cast<utf8proc_ssize_t>(text.size()), &value);
  if (length <= 0 || value < 0) return {kReplacement, 1, false};
  return {value, static_cast<int>(length), true};
}

void append_utf8(std::string& out, int32_t codepoint) {
  if (codepoint < 0x80) {
    out.push_back(static_cast<char>(codepoint));
    return;
  }
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(codepoint, bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

size_t ascii_prefix(std::string_view text) {
  size_t i = 0;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word;
    std::memcpy(&word, text.data() + i, sizeof word);
    if ((word & 0x8080808080808080ull) != 0) break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

int64_t replace_invalid_utf8(std::string& text) {
  const std::string_view whole = text;
  size_t good = valid_prefix(whole);
  if (good == whole.size()) return 0;
  std::string out;
  out.reserve(text.size() + 16);
  int64_t replaced = 0;
  size_t start = 0;
  while (true) {
    out.append(whole, start, good);
    start += good;
    if (start == whole.size()) break;
    append_utf8(out, kReplacement);
    ++replaced;
    ++start;
    good = valid_prefix(whole.substr(start));
  }
  text = std::move(out);
  return replaced;
}

std::string excerpt(std::string_view text) {
  constexpr size_t limit = 60;
  size_t end = std::min(text.size(), limit);
  // A code point is not cut in two.
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  std::string out = "'";
  for (const char c : text.substr(0, end)) {
    const auto byte = static_cast<unsigned char>(c);
    out.push_back(byte < 0x20 || byte == 0x7f ? ' ' : c);
  }
  out += end < text.size() ? "...'" : "'";
  replace_invalid_utf8(out);
  return out;
}

}  // namespace lathe::data
