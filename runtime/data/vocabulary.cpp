#include "runtime/data/vocabulary.h"

#include <algorithm>

#include "ir/base/error.h"
#include "runtime/data/clean.h"
#include "runtime/data/tokenize.h"
#include "runtime/data/utf8.h"

namespace lathe::data {
Vocabulary::Vocabulary(std::vector<std::string> words) : words_(std::move(words)) {
  ids_.reserve(words_.size());
  int32_t next = 2;
  for (const std::string& word : words_) {
    LATHE_ASSERT(!word.empty() && word.find('\n') == std::string::npos, "word {}", excerpt(word));
    LATHE_ASSERT(ids_.emplace(word, next).second, "word {} occurs twice", excerpt(word));
    ++next;
  }
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
