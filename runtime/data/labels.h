// Label values to class ids.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/labelled_texts.h"

namespace lathe::data {

// A finite decimal number, all of `text`.
bool is_number(std::string_view text);

// -1, 0 or 1: a word that means bad, neither, or good, in any case ("neg", "Negative", "bad",
// "false", "no", "负面", ...).
int polarity(std::string_view label);

// The classes of a data set. Ids count from 0 in this order, which does not depend on the order of
// the examples: numbers by value ("1" and "1.0" are one class); otherwise words of negative
// polarity, then neutral ones, then positive, and within each bytewise. Words compare without
// ASCII case and are named as first seen.
class LabelMap {
 public:
  // The classes found. `classes` > 0 is the number that the model can tell apart: one more is an
  // error that names the place of its first example. A single class, an empty label and more than
  // 10,000 classes are errors too.
  static LabelMap learn(const LabelledTexts& texts, int classes = 0);

  // The names in the order of their ids, as stored in a run. Duplicates are an error.
  explicit LabelMap(std::vector<std::string> names);

  int size() const { return static_cast<int>(names_.size()); }
  const std::vector<std::string>& names() const { return names_; }
  const std::string& name(int id) const { return names_.at(static_cast<size_t>(id)); }

  // The id, or -1.
  int find(std::string_view label) const;

  // An id for each example; an unknown label is an error that names its place and the classes.
  std::vector<int32_t> encode(const LabelledTexts& texts) const;

 private:
  std::vector<std::string> names_;
  std::map<std::string, int, std::less<>> ids_;  // by the key that spellings of a class share
};

}  // namespace lathe::data
