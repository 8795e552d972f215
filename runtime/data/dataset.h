// Encoded examples in memory.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "runtime/data/labelled_texts.h"
#include "runtime/data/labels.h"

namespace lathe::data {

// Ragged sequences of token ids with a class id each. Sequences may be empty.
class Dataset {
 public:
  void add(std::span<const int32_t> tokens, int32_t label);

  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  // Precondition for both: 0 <= i < size().
  std::span<const int32_t> tokens(int64_t i) const;
  int32_t label(int64_t i) const { return labels_.at(static_cast<size_t>(i)); }

  int32_t max_label() const;  // -1 if empty
  int64_t longest() const;    // tokens of the longest sequence, 0 if empty
  int64_t token_count() const { return static_cast<int64_t>(tokens_.size()); }

 private:
  std::vector<int32_t> tokens_;
  std::vector<size_t> ends_;  // of sequence i in tokens_
  std::vector<int32_t> labels_;
};

// From a text as it stands in the file to ids: Vocabulary::encode or KerasTokenizer::encode.
using TextEncoder = std::function<std::vector<int32_t>(std::string_view text)>;

// Errors of LabelMap::encode.
Dataset encode(const LabelledTexts& texts, const LabelMap& labels, const TextEncoder& encoder);

}  // namespace lathe::data
