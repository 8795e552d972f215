#include "runtime/data/vocabulary.h"

#include <algorithm>

#include "ir/base/error.h"
#include "runtime/data/clean.h"
#include "runtime/data/text_file.h"
#include "runtime/data/tokenize.h"
#include "runtime/data/utf8.h"

namespace lathe::data {
namespace {

constexpr std::string_view kReserved[] = {"[PAD]", "[UNK]"};

// Takes one line off the front of `rest`, without its line end.
std::string_view take_line(std::string_view& rest) {
  const size_t end = std::min(rest.find('\n'), rest.size());
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

Vocabulary::Vocabulary(std::vector<std::string> words) : words_(std::move(words)) {
  ids_.reserve(words_.size());
  int32_t next = 2;
  for (const std::string& word : words_) {
    LATHE_ASSERT(!word.empty() && word.find('\n') == std::string::npos, "word {}", excerpt(word));
    LATHE_ASSERT(ids_.emplace(word, next).second, "word {} occurs twice", excerpt(word));
    ++next;
  }
}

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
  write_text(path, text);
}

int32_t Vocabulary::id(std::string_view word) const {
  const auto found = ids_.find(word);
  return found == ids_.end() ? kUnknown : found->second;
}

std::string_view Vocabulary::word(int32_t id) const {
  LATHE_ASSERT(id >= 0 && id < size(), "id {} of {}", id, size());
  return id < 2 ? kReserved[id] : words_[static_cast<size_t>(id) - 2];
}

std::vector<int32_t> Vocabulary::encode(std::string_view text) const {
  const std::string cleaned = clean_text(text);
  std::vector<int32_t> ids;
  for (const std::string_view token : tokenize(cleaned)) ids.push_back(id(token));
  return ids;
}

void WordCounter::add(std::string_view word) {
  const auto found = counts_.find(word);
  if (found != counts_.end()) ++found->second;
  else counts_.emplace(word, 1);
}

Vocabulary WordCounter::most_frequent(int64_t max_size, int64_t min_count) const {
  if (max_size < 3 || max_size > INT32_MAX)
    fail("vocabulary: a size of {}; expected 3 or more (padding, unknown and a word)", max_size);
  using Entry = std::pair<std::string_view, int64_t>;
  std::vector<Entry> entries;
  for (const auto& [word, count] : counts_)
    if (count >= min_count) entries.emplace_back(word, count);
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  entries.resize(std::min(entries.size(), static_cast<size_t>(max_size - 2)));
  std::vector<std::string> words;
  words.reserve(entries.size());
  for (const Entry& entry : entries) words.emplace_back(entry.first);
  return Vocabulary(std::move(words));
}

Vocabulary build_vocabulary(const LabelledTexts& texts, int64_t max_size, int64_t min_count) {
  WordCounter counter;
  std::vector<std::string_view> tokens;
  for (const LabelledText& example : texts.examples) {
    const std::string cleaned = clean_text(example.text);
    tokens.clear();
    tokenize(cleaned, tokens);
    for (const std::string_view token : tokens) counter.add(token);
  }
  return counter.most_frequent(max_size, min_count);
}

}  // namespace lathe::data
