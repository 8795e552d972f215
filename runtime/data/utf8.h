// UTF-8 at the border of the program: files and command lines may hold any bytes; everything behind
// the border may rely on valid UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lathe::data {

// One code point and the bytes it took. Invalid input gives U+FFFD and a length of 1.
struct CodePoint {
  int32_t value;
  int length;
  bool valid;
};

inline constexpr int32_t kReplacement = 0xFFFD;

// Precondition: text is not empty.
CodePoint decode_first(std::string_view text);

// Appends a valid scalar value.
void append_utf8(std::string& out, int32_t codepoint);

// Length of the ASCII prefix.
size_t ascii_prefix(std::string_view text);

// Puts U+FFFD for each byte that is no part of valid UTF-8 (overlong forms and surrogates are
// invalid); returns how many bytes that were. Valid text is not copied.
int64_t replace_invalid_utf8(std::string& text);

// `text` in single quotes for a message: at most 60 bytes, control characters shown as spaces.
std::string excerpt(std::string_view text);

}  // namespace lathe::data
