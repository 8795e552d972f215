// Vocabularies as files; apart from vocabulary.cpp because generated libraries link that one alone.
#include <algorithm>

#include "ir/base/error.h"
#include "runtime/data/text_file.h"
#include "runtime/data/utf8.h"
#include "runtime/data/vocabulary.h"
#include "runtime/files.h"

namespace lathe::data {

namespace {

// Takes one line off the front of `rest`, without its line end.
std::string_view take_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

Vocabulary Vocabulary::load(const std::string& path) {
  const TextFile file = read_text(path);
  std::string_view rest = file.text;
  for (int line = 1; line <= 2; ++line) {
    const std::string_view found = take_line(rest);
    if (found != kReserved[line - 1])
      fail("{}:{}: {} in a vocabulary; expected {} ({})", path, line, excerpt(found),
           kReserved[line - 1], "one word a line after [PAD] and [UNK]");
  }
  std::vector<std::string> words;
  TextMap<int64_t> lines;
  for (int64_t line = 3; !rest.empty(); ++line) {
    const std::string_view word = take_line(rest);
    if (word.empty()) fail("{}:{}: an empty line in a vocabulary; expected a word", path, line);
    const auto [first, is_new] = lines.emplace(word, line);
    if (!is_new)
      fail("{}:{}: the word {} stands in line {} already; expected distinct words", path, line,
           excerpt(word), first->second);
    words.emplace_back(word);
  }
  return Vocabulary(std::move(words));
}

void Vocabulary::save(const std::string& path) const {
  std::string text = fmt::format("{}\n{}\n", kReserved[0], kReserved[1]);
  for (const std::string& word : words_) text.append(word).push_back('\n');
  write_file_atomically(path, text);
}

}  // namespace lathe::data
