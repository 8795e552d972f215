// Text to words and characters.
#pragma once

#include <string_view>
#include <vector>

namespace lathe::data {

// Appends the tokens of `text` (any UTF-8, usually cleaned) as views into it.
// - A word is a run of letters, marks and digits, with apostrophes inside it: don't, l'été, 1930s.
//   Hangul and all other alphabets count as letters; scripts written without blanks that are
//   neither Han nor Kana (Thai, Khmer) come out as long words.
// - Each Han or Kana character is a token, with the marks that follow it.
// - Each pictograph (Unicode category So beyond Latin-1: emoji, stars, arrows) is a token.
// - All else, including U+FFFD, separates.
void tokenize(std::string_view text, std::vector<std::string_view>& tokens);

std::vector<std::string_view> tokenize(std::string_view text);

}  // namespace lathe::data
