#include "runtime/artifact/text_model.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/data/sequence.h"
#include "runtime/data/vocabulary.h"

namespace {

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return out;
}

}  // namespace

const void* lathe_text_vocabulary(const char* words, size_t bytes) {
  try {
    return new lathe::data::Vocabulary(lines({words, bytes}));
  } catch (...) {
    return nullptr;
  }
}

int lathe_text_encode(const void* vocabulary, const char* text, int32_t* tokens, int64_t length,
                      int pad_after, int cut_after) {
  using lathe::data::Side;
  try {
    const auto& words = *static_cast<const lathe::data::Vocabulary*>(vocabulary);
    lathe::data::PadOptions options;
    options.padding = pad_after != 0 ? Side::Post : Side::Pre;
    options.truncating = cut_after != 0 ? Side::Post : Side::Pre;
    lathe::data::pad_sequence(words.encode(text), std::span(tokens, static_cast<size_t>(length)),
                              options);
    return 0;
  } catch (...) {
    return -1;
  }
}
