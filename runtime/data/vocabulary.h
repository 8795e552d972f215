// Words to ids, by frequency.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/data/labelled_texts.h"

namespace lathe::data {

// Lets maps keyed by std::string be searched with a std::string_view.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};
template <class T>
using TextMap = std::unordered_map<std::string, T, TextHash, std::equal_to<>>;

// Immutable. Id 0 is padding, id 1 any unknown word, words count from 2.
class Vocabulary {
 public:
  static constexpr int32_t kPadding = 0;
  static constexpr int32_t kUnknown = 1;
  static constexpr std::string_view kReserved[] = {"[PAD]", "[UNK]"};  // ids 0 and 1 as words

  // words[i] gets the id i + 2. Precondition: distinct, not empty, without line breaks.
  explicit Vocabulary(std::vector<std::string> words);

  // One entry a line in the order of ids: [PAD], [UNK], then the words (UTF-8). Errors name
  // file:line: other first lines, an empty line, a word that occurs twice, and those of read_text.
  static Vocabulary load(const std::string& path);
  void save(const std::string& path) const;  // atomically

  // Ids are below this number: the rows of an embedding.
  int32_t size() const { return static_cast<int32_t>(words_.size()) + 2; }
  int32_t id(std::string_view word) const;  // kUnknown if it is not there
  std::string_view word(int32_t id) const;  // "[PAD]" and "[UNK]" for 0 and 1

  // Cleaned, tokenised, looked up: what a model of this vocabulary is asked with.
  std::vector<int32_t> encode(std::string_view text) const;

  bool operator==(const Vocabulary& other) const { return words_ == other.words_; }

 private:
  std::vector<std::string> words_;
  TextMap<int32_t> ids_;
};

// Counts words, then keeps the most frequent.
class WordCounter {
 public:
  void add(std::string_view word);

  // At most `max_size` ids, padding and unknown among them: 10000 keeps 9998 words. Words of equal
  // count are in bytewise order, so the result does not depend on the order of the texts.
  Vocabulary most_frequent(int64_t max_size, int64_t min_count = 1) const;

 private:
  TextMap<int64_t> counts_;
};

// Of the cleaned and tokenised texts.
Vocabulary build_vocabulary(const LabelledTexts& texts, int64_t max_size, int64_t min_count = 1);

}  // namespace lathe::data
