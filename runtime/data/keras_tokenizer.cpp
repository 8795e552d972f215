#include "runtime/data/keras_tokenizer.h"

#include <utf8proc.h>

#include <nlohmann/json.hpp>

#include "ir/base/error.h"
#include "runtime/data/text_file.h"
#include "runtime/data/utf8.h"

namespace lathe::data {
namespace {

using Json = nlohmann::json;

Json parse(const std::string& path, const std::string& text, std::string_view what) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& e) {
    const size_t at = std::min(e.byte, text.size());
    fail("{}: {} is not JSON at byte {}, near {}; expected a Keras word index", path, what, e.byte,
         excerpt(std::string_view(text).substr(at > 20 ? at - 20 : 0, 40)));
  }
}

[[noreturn]] void fail_entry(const std::string& path, std::string_view key, const Json& value,
                             std::string_view expected) {
  fail("{}: {} is {}; expected {}", path, excerpt(key),
       excerpt(value.dump(-1, ' ', false, Json::error_handler_t::replace)), expected);
}

TextMap<int32_t> read_index(const std::string& path, const Json& json) {
  if (!json.is_object()) fail_entry(path, "word_index", json, "an object of word to index");
  TextMap<int32_t> index;
  index.reserve(json.size());
  for (const auto& [word, value] : json.items()) {
    const auto* number = value.get_ptr<const Json::number_unsigned_t*>();
    if (number == nullptr || *number > INT32_MAX)
      fail_entry(path, word, value, "an index, a whole number from 0 to 2147483647");
    index.emplace(word, static_cast<int32_t>(*number));
  }
  return index;
}

// Sets `out` from settings[key] if it is there and not null.
template <class T, class Out>
void read_setting(const std::string& path, const Json& settings, const char* key,
                  std::string_view expected, Out& out) {
  const auto found = settings.find(key);
  if (found == settings.end() || found->is_null()) return;
  try {
    out = found->template get<T>();
  } catch (const Json::type_error&) {
    fail_entry(path, key, *found, expected);
  }
}

std::string lower_case(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = decode_first(text);
    append_utf8(out, utf8proc_tolower(c.value));
    text.remove_prefix(static_cast<size_t>(c.length));
  }
  return out;
}

std::vector<std::string> characters(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto length = static_cast<size_t>(decode_first(text).length);
    out.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return out;
}

}  // namespace

KerasTokenizer KerasTokenizer::load(const std::string& path) {
  const Json json = parse(path, read_text(path).text, "the file");
  if (!json.is_object()) fail_entry(path, "the file", json, "an object");
  KerasTokenizer out;
  const auto config = json.find("config");
  const bool wrapped = config != json.end() && config->is_object();
  const Json& settings = wrapped ? *config : json;
  const auto index = settings.find("word_index");
  const bool bare = index == settings.end() || index->is_number();
  if (bare && wrapped) fail("{}: 'config' holds no 'word_index'; expected Keras' tokenizer", path);
  if (bare) {
    out.word_index = read_index(path, json);
    return out;
  }
  read_setting<std::string>(path, settings, "filters", "a string", out.filters);
  read_setting<std::string>(path, settings, "split", "a string", out.split);
  read_setting<bool>(path, settings, "lower", "true or false", out.lower);
  read_setting<bool>(path, settings, "char_level", "true or false", out.char_level);
  read_setting<int64_t>(path, settings, "num_words", "a number", out.num_words);
  read_setting<std::string>(path, settings, "oov_token", "a string", out.oov_token);
  if (out.split.empty()) fail("{}: 'split' is ''; expected at least one character", path);
  // to_json() stores the index as JSON inside a string.
  const auto* text = index->get_ptr<const std::string*>();
  out.word_index = read_index(path, text ? parse(path, *text, "'word_index'") : *index);
  return out;
}

std::vector<std::string> KerasTokenizer::words(std::string_view raw) const {
  std::string valid(raw);
  replace_invalid_utf8(valid);
  const std::string text = lower ? lower_case(valid) : std::move(valid);
  if (char_level) return characters(text);  // Keras applies no filters here
  std::string filtered;
  for (const std::string& c : characters(text))
    filtered += filters.find(c) == std::string::npos ? c : split;
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= filtered.size();) {
    const size_t end = std::min(filtered.find(split, begin), filtered.size());
    if (end > begin) out.push_back(filtered.substr(begin, end - begin));
    begin = end + split.size();
  }
  return out;
}

std::vector<int32_t> KerasTokenizer::encode(std::string_view text) const {
  const auto unknown = oov_token ? word_index.find(*oov_token) : word_index.end();
  std::vector<int32_t> ids;
  for (const std::string& word : words(text)) {
    auto found = word_index.find(word);
    const bool cut = found != word_index.end() && num_words && found->second >= *num_words;
    if (found == word_index.end() || cut) found = unknown;
    if (found != word_index.end()) ids.push_back(found->second);
  }
  return ids;
}

}  // namespace lathe::data
