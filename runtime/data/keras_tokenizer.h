// Keras' own tokenizer, for models that were trained with one (keras.preprocessing.text.Tokenizer).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/vocabulary.h"

namespace lathe::data {

// Settings and their defaults are Keras'.
struct KerasTokenizer {
  std::string filters = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n";  // each becomes a `split`
  std::string split = " ";
  bool lower = true;
  bool char_level = false;                // each code point is a word
  std::optional<int64_t> num_words = {};  // indices from here on count as unknown
  std::optional<std::string> oov_token =
      {};                            // its index stands for unknown words, else they drop out
  TextMap<int32_t> word_index = {};  // from 1; 0 is padding

  // Tokenizer.to_json() ({"class_name", "config"}), an object with a word_index and the settings
  // beside it, or the word index alone ({"the": 1, ...}). Errors name the file, the place in the
  // JSON or the entry, and what was expected.
  static KerasTokenizer load(const std::string& path);

  // text_to_word_sequence and texts_to_sequences.
  std::vector<std::string> words(std::string_view text) const;
  std::vector<int32_t> encode(std::string_view text) const;
};

}  // namespace lathe::data
