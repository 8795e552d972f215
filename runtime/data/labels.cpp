#include "runtime/data/labels.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>

#include "ir/base/error.h"
#include "runtime/data/utf8.h"

namespace lathe::data {
namespace {

constexpr size_t kMaxClasses = 10000;

constexpr std::array<std::string_view, 13> kNegative = {
    "negative", "neg", "bad", "no", "false", "n", "负", "负面", "负向", "消极", "差", "差评", "否"};
constexpr std::array<std::string_view, 13> kPositive = {"positive", "pos",  "good", "yes",  "true",
                                                        "y",        "正",   "正面", "正向", "积极",
                                                        "好",       "好评", "是"};

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

std::optional<double> number(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

// Labels of one class have one key.
std::string key_of(std::string_view label) {
  if (const auto value = number(label)) return fmt::format("#{}", *value + 0.0);  // -0 is 0
  return lower(label);
}

std::string list(const std::vector<std::string>& names) {
  constexpr size_t shown = 10;
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), shown); ++i)
    out += (i == 0 ? "" : i + 1 == names.size() ? " or " : ", ") + excerpt(names[i]);
  return names.size() > shown ? fmt::format("{} ... ({} classes)", out, names.size()) : out;
}

bool before(const std::string& a, const std::string& b, bool numbers) {
  if (numbers) return *number(a) < *number(b);
  const int pa = polarity(a), pb = polarity(b);
  return pa != pb ? pa < pb : a < b;
}

}  // namespace

bool is_number(std::string_view text) { return number(text).has_value(); }

int polarity(std::string_view label) {
  const std::string word = lower(label);
  if (std::find(kNegative.begin(), kNegative.end(), word) != kNegative.end()) return -1;
  if (std::find(kPositive.begin(), kPositive.end(), word) != kPositive.end()) return 1;
  return 0;
}

LabelMap LabelMap::learn(const LabelledTexts& texts, int classes) {
  std::map<std::string, std::string> found;  // key -> name as first seen
  const auto names_of = [&] {
    std::vector<std::string> names;
    for (const auto& [key, name] : found) names.push_back(name);
    const bool numbers = std::all_of(names.begin(), names.end(), is_number);
    std::sort(names.begin(), names.end(),
              [&](const auto& a, const auto& b) { return before(a, b, numbers); });
    return names;
  };
  const size_t limit = classes > 0 ? static_cast<size_t>(classes) : kMaxClasses;
  for (const LabelledText& example : texts.examples) {
    if (example.label.empty())
      fail("{}: the label is empty; expected one for every text", example.place);
    std::string key = key_of(example.label);
    if (found.contains(key)) continue;
    if (found.size() == limit)
      fail("{}: label {} is one class too many; expected at most {} classes, and before it came {}",
           example.place, excerpt(example.label), limit, list(names_of()));
    found.emplace(std::move(key), example.label);
  }
  if (found.size() < 2)
    fail("{}: {}; expected at least two classes", texts.path,
         found.empty() ? "no examples" : "all labels are " + list(names_of()));
  return LabelMap(names_of());
}

LabelMap::LabelMap(std::vector<std::string> names) : names_(std::move(names)) {
  for (size_t i = 0; i < names_.size(); ++i)
    if (!ids_.emplace(key_of(names_[i]), static_cast<int>(i)).second)
      fail("label names: {} occurs twice; expected distinct classes", excerpt(names_[i]));
}

int LabelMap::find(std::string_view label) const {
  const auto found = ids_.find(key_of(label));
  return found == ids_.end() ? -1 : found->second;
}

std::vector<int32_t> LabelMap::encode(const LabelledTexts& texts) const {
  std::vector<int32_t> ids;
  ids.reserve(texts.examples.size());
  for (const LabelledText& example : texts.examples) {
    const int id = find(example.label);
    if (id < 0)
      fail("{}: label {} is not a known class; expected {}", example.place, excerpt(example.label),
           list(names_));
    ids.push_back(id);
  }
  return ids;
}

}  // namespace lathe::data
