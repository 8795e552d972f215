#include "runtime/data/dataset.h"

#include <algorithm>

#include "ir/base/error.h"

namespace lathe::data {

void Dataset::add(std::span<const int32_t> tokens, int32_t label) {
  LATHE_ASSERT(label >= 0, "label {}", label);
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  ends_.push_back(tokens_.size());
  labels_.push_back(label);
}

std::span<const int32_t> Dataset::tokens(int64_t i) const {
  LATHE_ASSERT(i >= 0 && i < size(), "example {} of {}", i, size());
  const auto index = static_cast<size_t>(i);
  const size_t begin = index == 0 ? 0 : ends_[index - 1];
  return {tokens_.data() + begin, ends_[index] - begin};
}

int32_t Dataset::max_label() const {
  return labels_.empty() ? -1 : *std::max_element(labels_.begin(), labels_.end());
}

int64_t Dataset::longest() const {
  size_t longest = 0;
  for (int64_t i = 0; i < size(); ++i) longest = std::max(longest, tokens(i).size());
  return static_cast<int64_t>(longest);
}

Dataset encode(const LabelledTexts& texts, const LabelMap& labels, const TextEncoder& encoder) {
  const std::vector<int32_t> ids = labels.encode(texts);
  Dataset out;
  for (size_t i = 0; i < ids.size(); ++i) out.add(encoder(texts.examples[i].text), ids[i]);
  return out;
}

}  // namespace lathe::data
