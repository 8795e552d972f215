// Strings: host steps.
#include <re2/re2.h>
#include <utf8proc.h>

#include <algorithm>
#include <map>
#include <set>

#include "frontend/onnx/convert.h"
#include "frontend/onnx/row.h"
#include "runtime/data/utf8.h"

namespace lathe::onnx {
namespace {

const std::vector<std::string>& texts(const Value& v) {
  if (!v.is_string()) fail("its input is {}, strings were expected", v.signature());
  return *v.known.strings;
}

Value strings_of(Dims dims, std::vector<std::string> v) {
  return Value::of(HostTensor(std::move(dims), std::move(v)));
}

// --- concatenation -------------------------------------------------------------------------------

// The element that element `flat` of `out` reads in a tensor that is broadcast to it.
int64_t broadcast_index(int64_t flat, const Dims& out, const Dims& dims) {
  int64_t index = 0, stride = 1;
  for (size_t i = 0; i < dims.size(); ++i) {  // from the last axis
    const int64_t size = out[out.size() - 1 - i], own = dims[dims.size() - 1 - i];
    index += (own == 1 ? 0 : flat % size) * stride;
    flat /= size;
    stride *= own;
  }
  return index;
}

Dims broadcast_dims(const Dims& a, const Dims& b) {
  Dims out = a.size() >= b.size() ? a : b;
  const Dims& shorter = a.size() >= b.size() ? b : a;
  for (size_t i = 0; i < shorter.size(); ++i) {
    int64_t& d = out[out.size() - 1 - i];
    const int64_t other = shorter[shorter.size() - 1 - i];
    if (d != other && d != 1 && other != 1)
      fail("[{}] and [{}] do not broadcast", Shape(a).text(), Shape(b).text());
    if (d == 1) d = other;
  }
  return out;
}

std::vector<Value> concatenated(HostServices&, const std::vector<Value>& in) {
  const auto &a = texts(in[0]), &b = texts(in[1]);
  const Dims da = in[0].dims(), db = in[1].dims(), dims = broadcast_dims(da, db);
  std::vector<std::string> out;
  for (int64_t i = 0; i < element_count(dims); ++i)
    out.push_back(a[static_cast<size_t>(broadcast_index(i, dims, da))] +
                  b[static_cast<size_t>(broadcast_index(i, dims, db))]);
  return {strings_of(dims, std::move(out))};
}

void string_concat(OpContext& c) {
  const Dims dims = broadcast_dims(c.dims(0), c.dims(1));
  if (c.known(0) && c.known(1)) c.check_table(dims, "texts");
  c.host(concatenated, 2);
}

// --- splitting -----------------------------------------------------------------------------------

// The bytes of the white space at the begin of a text, as Python's str.split takes it; 0 for none.
size_t white_space(std::string_view text) {
  if (text.empty()) return 0;
  const data::CodePoint c = data::decode_first(text);
  const int32_t v = c.value;
  const bool control = (v >= 9 && v <= 13) || (v >= 28 && v <= 31) || v == 0x85;
  const auto category = utf8proc_category(v);
  const bool space = control || category == UTF8PROC_CATEGORY_ZS ||
                     category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
  return c.valid && space ? static_cast<size_t>(c.length) : 0;
}

void skip_white_space(std::string_view& text) {
  while (const size_t n = white_space(text)) text.remove_prefix(n);
}

std::vector<std::string> split_words(std::string_view text, int64_t most) {
  std::vector<std::string> out;
  for (skip_white_space(text); !text.empty(); skip_white_space(text)) {
    size_t end = std::ssize(out) == most ? text.size() : 0;
    while (end < text.size() && white_space(text.substr(end)) == 0) ++end;
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return out;
}

std::vector<std::string> split_at(std::string_view text, std::string_view delimiter, int64_t most) {
  std::vector<std::string> out;
  size_t found = 0;
  while (std::ssize(out) != most && (found = text.find(delimiter)) != std::string_view::npos) {
    out.emplace_back(text.substr(0, found));
    text.remove_prefix(found + delimiter.size());
  }
  out.emplace_back(text);
  return out;
}

// Results: the parts, filled up to the longest list with empty ones, and how many each has.
void string_split(OpContext& c) {
  const std::string delimiter = c.attr_text("delimiter", "");
  const int64_t most = c.attr_int("maxsplit", -1);
  c.host([=](HostServices&, const std::vector<Value>& in) {
    std::vector<std::vector<std::string>> parts;
    size_t longest = 0;
    for (const std::string& text : texts(in[0])) {
      parts.push_back(delimiter.empty() ? split_words(text, most)
                                        : split_at(text, delimiter, most));
      longest = std::max(longest, parts.back().size());
    }
    Dims dims = in[0].dims();
    Tensor counts = Tensor::empty(DType::i64, dims);
    std::vector<std::string> all;
    for (size_t i = 0; i < parts.size(); ++i) {
      counts.set_int(static_cast<int64_t>(i), std::ssize(parts[i]));
      parts[i].resize(longest);
      all.insert(all.end(), parts[i].begin(), parts[i].end());
    }
    dims.push_back(static_cast<int64_t>(longest));
    return std::vector<Value>{strings_of(dims, std::move(all)), Value::of(HostTensor(counts))};
  });
}

// --- matching and cleaning -----------------------------------------------------------------------

void regex_full_match(OpContext& c) {
  const std::string pattern = c.attr_text("pattern", "");
  c.host([=](HostServices&, const std::vector<Value>& in) {
    const RE2 regex(pattern, RE2::Quiet);
    if (!regex.ok()) fail("pattern '{}': {}", pattern, regex.error());
    Tensor out = Tensor::empty(DType::boolean, in[0].dims());
    const auto& all = texts(in[0]);
    for (int64_t i = 0; i < out.size(); ++i)
      out.set_int(i, RE2::FullMatch(all[static_cast<size_t>(i)], regex) ? 1 : 0);
    return std::vector<Value>{Value::of(HostTensor(out))};
  });
}

enum class Case : uint8_t { None, Lower, Upper };

// What is no UTF-8 stays as it is.
std::string with_case(std::string_view text, Case how) {
  std::string out;
  while (!text.empty()) {
    const data::CodePoint c = data::decode_first(text);
    const auto length = static_cast<size_t>(c.length);
    if (!c.valid || how == Case::None) out.append(text.substr(0, length));
    else
      data::append_utf8(out,
                        how == Case::Lower ? utf8proc_tolower(c.value) : utf8proc_toupper(c.value));
    text.remove_prefix(length);
  }
  return out;
}

// Elements [C] or [1, C] without stop words; one empty string where none is left.
void string_normalizer(OpContext& c) {
  const std::string action = c.attr_text("case_change_action", "NONE");
  const Case how = action == "LOWER" ? Case::Lower : action == "UPPER" ? Case::Upper : Case::None;
  if (how == Case::None && action != "NONE") fail("case_change_action is '{}'", action);
  const bool sensitive = c.attr_int("is_case_sensitive", 0) != 0;
  c.ignore({"locale"});
  const auto key = [sensitive](const std::string& word) {
    return sensitive ? word : with_case(word, Case::Lower);
  };
  std::set<std::string> stop;
  for (const std::string& word : c.attr_texts("stopwords")) stop.insert(key(word));
  c.host([=](HostServices&, const std::vector<Value>& in) {
    const Dims dims = in[0].dims();
    if (dims.size() != 1 && (dims.size() != 2 || dims[0] != 1))
      fail("its input is {}, [C] or [1,C] was expected", in[0].signature());
    std::vector<std::string> out;
    for (const std::string& word : texts(in[0]))
      if (!stop.contains(key(word))) out.push_back(with_case(word, how));
    if (out.empty()) out.emplace_back();
    Dims left(dims.size(), 1);
    left.back() = std::ssize(out);
    return std::vector<Value>{strings_of(left, std::move(out))};
  });
}

// --- n-grams -------------------------------------------------------------------------------------

using Gram = std::vector<std::string>;  // integers as their text

struct Grams {
  std::map<Gram, int64_t> columns;
  int64_t shortest = 1, longest = 1, skips = 0, width = 0;
};

// The pool holds all 1-grams, then all 2-grams, ..; ngram_counts says where each length begins.
Grams read_grams(OpContext& c) {
  Grams g;
  g.shortest = c.attr_int("min_gram_length");
  g.longest = c.attr_int("max_gram_length");
  g.skips = c.attr_int("max_skip_count");
  Gram pool = c.attr_texts("pool_strings");
  for (const int64_t v : c.attr_ints("pool_int64s")) pool.push_back(fmt::format("{}", v));
  const Dims begins = c.attr_ints("ngram_counts"), columns = c.attr_ints("ngram_indexes");
  constexpr int64_t kMost = int64_t{1} << 31;
  if (g.shortest < 1 || g.longest < g.shortest || g.longest >= kMost || g.skips < 0 ||
      g.skips >= kMost)
    fail("grams of {} to {} words, {} skipped", g.shortest, g.longest, g.skips);
  size_t id = 0;
  int64_t most = 0;  // words of a gram that there is
  for (size_t k = 0; k < begins.size(); ++k) {
    const int64_t end = k + 1 < begins.size() ? begins[k + 1] : std::ssize(pool);
    const auto length = static_cast<int64_t>(k + 1);
    if (begins[k] < 0 || end < begins[k] || end > std::ssize(pool) ||
        (end - begins[k]) % length != 0)
      fail("ngram_counts: {} to {} of a pool of {} are no {}-grams", begins[k], end, pool.size(),
           length);
    for (int64_t i = begins[k]; i < end; i += length, ++id) {
      if (id >= columns.size() || columns[id] < 0 || columns[id] >= int64_t{1} << 30)
        fail("ngram_indexes has no place for gram {}", id);
      if (length < g.shortest || length > g.longest) continue;
      most = length;
      g.columns[Gram(pool.begin() + i, pool.begin() + i + length)] = columns[id];
    }
  }
  g.longest = std::min(g.longest, most);
  for (const int64_t column : columns) g.width = std::max(g.width, column + 1);
  return g;
}

// How often each gram is in a row, its words up to `skips` words apart; single words once.
void count_grams(const Grams& g, std::span<const std::string> row, std::vector<double>& counts) {
  const int64_t size = std::ssize(row);
  for (int64_t apart = 1; apart <= g.skips + 1 && (apart == 1 || apart < size); ++apart)
    for (int64_t length = apart == 1 ? g.shortest : std::max<int64_t>(g.shortest, 2);
         length <= g.longest && (length - 1) * apart < size; ++length)
      for (int64_t begin = 0; begin + (length - 1) * apart < size; ++begin) {
        Gram gram;
        for (int64_t k = 0; k < length; ++k)
          gram.push_back(row[static_cast<size_t>(begin + k * apart)]);
        const auto found = g.columns.find(gram);
        if (found != g.columns.end()) ++counts[static_cast<size_t>(found->second)];
      }
}

void tf_idf_vectorizer(OpContext& c) {
  const Grams g = read_grams(c);
  const std::string mode = c.attr_text("mode");
  if (mode != "TF" && mode != "IDF" && mode != "TFIDF") fail("mode is '{}'", mode);
  c.check_count(g.width, "columns of grams");
  const Dims given = c.dims(0);
  const int64_t rows = given.size() == 2 ? given[0] : 1;
  if (c.known(0)) c.check_table({rows, g.width}, "counts of grams");
  std::vector<double> weights = c.attr_floats("weights");
  if (weights.empty() || mode == "TF") weights.assign(static_cast<size_t>(g.width), 1);
  if (std::ssize(weights) < g.width) fail("{} weights for {} grams", weights.size(), g.width);
  c.host([=](HostServices&, const std::vector<Value>& in) {
    Dims dims = in[0].dims();
    if (dims.size() > 2) fail("its input is {}, [C] or [N,C] was expected", in[0].signature());
    const HostTensor words = convert(in[0].known, ElemType::String);
    const auto row = static_cast<size_t>(dims.empty() ? 1 : dims.back());
    Tensor out = Tensor::empty(DType::f32, dims.size() == 2 ? Dims{rows, g.width} : Dims{g.width});
    for (int64_t r = 0; out.size() > 0 && r < rows; ++r) {
      std::vector<double> counts(static_cast<size_t>(g.width), 0);
      count_grams(g, std::span(*words.strings).subspan(static_cast<size_t>(r) * row, row), counts);
      for (int64_t k = 0; k < g.width; ++k) {
        const double count = counts[static_cast<size_t>(k)];
        const double times = mode == "IDF" ? (count > 0 ? 1 : 0) : count;
        out.set(r * g.width + k, times * weights[static_cast<size_t>(k)]);
      }
    }
    return std::vector<Value>{Value::of(HostTensor(out))};
  });
}

constexpr OpRow kRows[] = {
    {"RegexFullMatch", 20, regex_full_match},    {"StringConcat", 20, string_concat},
    {"StringNormalizer", 10, string_normalizer}, {"StringSplit", 20, string_split},
    {"TfIdfVectorizer", 9, tf_idf_vectorizer},
};

}  // namespace

std::span<const OpRow> string_rows() { return kRows; }

}  // namespace lathe::onnx
