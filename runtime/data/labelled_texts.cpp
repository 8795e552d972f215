#include "runtime/data/labelled_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <system_error>

#include "ir/base/error.h"
#include "runtime/data/labels.h"
#include "runtime/data/text_file.h"
#include "runtime/data/utf8.h"

namespace lathe::data {
namespace {

namespace fs = std::filesystem;

using Names = std::array<std::string_view, 6>;
constexpr Names kTextNames = {"text", "review", "reviews", "sentence", "content", "comment"};
constexpr Names kLabelNames = {"label", "labels", "sentiment", "class", "target", "polarity"};

std::string_view trim(std::string_view s) {
  constexpr std::string_view blanks = " \t\r\n";
  const size_t begin = s.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return s.substr(begin, s.find_last_not_of(blanks) - begin + 1);
}

bool is_one_of(const Names& names, std::string_view field) {
  std::string lower(trim(field));
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return std::find(names.begin(), names.end(), lower) != names.end();
}

std::optional<size_t> column_named(const Names& names, const Row& row) {
  for (size_t c = 0; c < row.fields.size(); ++c)
    if (is_one_of(names, row.fields[c])) return c;
  return std::nullopt;
}

struct Columns {
  size_t text;
  size_t label;
  bool header;
};

// A one-word text such as "review" does not make a header if its label is a label further down.
bool occurs_below(const Table& table, size_t column) {
  return std::any_of(table.rows.begin() + 1, table.rows.end(), [&](const Row& row) {
    return row.fields[column] == table.rows[0].fields[column];
  });
}

std::optional<Columns> columns_by_name(const Table& table) {
  const Row& first = table.rows[0];
  auto text = column_named(kTextNames, first);
  auto label = column_named(kLabelNames, first);
  if (!text && !label) return std::nullopt;
  const size_t columns = first.fields.size();
  if (columns == 2 && !label && !occurs_below(table, 1 - *text)) label = 1 - *text;
  if (columns == 2 && !text && !occurs_below(table, *label)) text = 1 - *label;
  if (text && label) return Columns{*text, *label, true};
  if (columns == 2) return std::nullopt;
  fail("{}:{}: the header names no {} column; expected one called {}", table.path, first.line,
       text ? "label" : "text", text ? fmt::join(kLabelNames, ", ") : fmt::join(kTextNames, ", "));
}

// How much a column looks like labels.
struct ColumnFacts {
  bool label_words = true;  // each value but a header's is a number or a word of polarity
  size_t distinct = 0;
  size_t bytes = 0;
};

ColumnFacts facts_of(const Table& table, size_t column) {
  ColumnFacts facts;
  std::set<std::string_view> distinct;
  for (const Row& row : table.rows) {
    const std::string_view value = trim(row.fields[column]);
    const bool may_be_header = &row == &table.rows[0] && table.rows.size() > 1;
    if (!may_be_header && !is_number(value) && polarity(value) == 0) facts.label_words = false;
    facts.bytes += value.size();
    distinct.insert(value);
  }
  facts.distinct = distinct.size();
  return facts;
}

Columns columns_by_content(const Table& table) {
  const Row& first = table.rows[0];
  if (first.fields.size() != 2)
    fail(
        "{}:{}: {} columns without a header that names them; expected two, text and label, or a "
        "header with a text and a label column",
        table.path, first.line, first.fields.size());
  const ColumnFacts a = facts_of(table, 0), b = facts_of(table, 1);
  size_t label = 0;
  if (a.label_words != b.label_words) label = a.label_words ? 0 : 1;
  else if (a.distinct != b.distinct) label = a.distinct < b.distinct ? 0 : 1;
  else if (std::max(a.bytes, b.bytes) >= 2 * std::min(a.bytes, b.bytes))
    label = a.bytes < b.bytes ? 0 : 1;
  else
    fail(
        "{}:{}: cannot tell which column is the label ({} or {}); expected a header line with the "
        "names text and label",
        table.path, first.line, excerpt(first.fields[0]), excerpt(first.fields[1]));
  const auto below_is_number = [&](const Row& row) { return is_number(trim(row.fields[label])); };
  const bool header = table.rows.size() > 1 && !below_is_number(first) &&
                      std::all_of(table.rows.begin() + 1, table.rows.end(), below_is_number);
  return {1 - label, label, header};
}

std::vector<fs::path> sorted_entries(const fs::path& folder, bool folders) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored) != folders) continue;
    if (!folders && it->path().extension() != ".txt") continue;
    entries.push_back(it->path());
  }
  if (error) fail("{}: cannot list the folder: {}", folder.string(), error.message());
  std::sort(entries.begin(), entries.end(),
            [](const fs::path& a, const fs::path& b) { return a.native() < b.native(); });
  return entries;
}

LabelledTexts read_folder(const fs::path& folder) {
  LabelledTexts out{folder.string(), {}, 0};
  std::vector<std::string> labels;
  for (const fs::path& sub : sorted_entries(folder, true)) {
    const std::string label = sub.filename().string();
    if (label == "unsup") continue;
    const auto files = sorted_entries(sub, false);
    if (!files.empty()) labels.push_back(label);
    for (const fs::path& file : files) {
      TextFile content = read_text(file.string());
      out.replaced += content.replaced;
      out.examples.push_back({std::move(content.text), label, file.string()});
    }
  }
  if (labels.size() < 2)
    fail("{}: {} with .txt files below; expected one a label, such as pos/ and neg/",
         folder.string(), labels.empty() ? "no folder" : "only the folder " + labels[0] + "/");
  return out;
}

}  // namespace

LabelledTexts label_columns(Table table) {
  const auto named = columns_by_name(table);
  const Columns columns = named ? *named : columns_by_content(table);
  LabelledTexts out{table.path, {}, table.replaced};
  out.examples.reserve(table.rows.size());
  for (size_t r = columns.header ? 1 : 0; r < table.rows.size(); ++r) {
    Row& row = table.rows[r];
    out.examples.push_back({std::move(row.fields[columns.text]),
                            std::string(trim(row.fields[columns.label])),
                            fmt::format("{}:{}", table.path, row.line)});
  }
  if (out.examples.empty())
    fail("{}:{}: a header but no rows; expected lines of text and label", table.path,
         table.rows[0].line);
  return out;
}

LabelledTexts read_labelled_texts(const std::string& path, Split split) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return label_columns(read_table(path));
  const fs::path half = fs::path(path) / (split == Split::Train ? "train" : "test");
  return read_folder(fs::is_directory(half, error) ? half : fs::path(path));
}

}  // namespace lathe::data
