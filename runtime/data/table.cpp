#include "runtime/data/table.h"

#include <algorithm>
#include <optional>

#include "ir/base/error.h"
#include "runtime/data/text_file.h"
#include "runtime/data/utf8.h"

namespace lathe::data {
namespace {

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  if (name.ends_with(".gz")) name.remove_suffix(3);
  return std::any_of(ends.begin(), ends.end(), [&](auto end) { return name.ends_with(end); });
}

char choose_separator(const std::string& path, std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of("\r\n"), text.size());
  const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
  const bool tab = line.find('\t') != std::string_view::npos;
  const bool comma = line.find(',') != std::string_view::npos;
  if (tab && ends_with_any(path, {".tsv", ".tab"})) return '\t';
  if (comma && ends_with_any(path, {".csv"})) return ',';
  // A quoted first field of a CSV file may break before its first comma.
  if (ends_with_any(path, {".csv"}) && line.starts_with('"')) return ',';
  if (tab) return '\t';
  if (comma && !ends_with_any(path, {".tsv", ".tab"})) return ',';
  fail("{}:1: {} has one column; expected two, text and label, separated by a {}", path,
       excerpt(line), ends_with_any(path, {".csv"}) ? "comma" : "tab");
}

class RowReader {
 public:
  RowReader(const std::string& path, std::string_view text, char separator)
      : path_(path), text_(text), separator_(separator) {}

  // The next row that is not empty; false at the end.
  bool next(Row& row) {
    while (at_ < text_.size()) {
      row.line = line_;
      row.fields.clear();
      const size_t begin = at_;
      do row.fields.push_back(field());
      while (take_separator());
      const bool empty = row.fields.size() == 1 && row.fields[0].empty() && at_ == begin;
      take_line_end();
      if (!empty) return true;
    }
    return false;
  }

 private:
  bool take_separator() {
    if (at_ == text_.size() || text_[at_] != separator_) return false;
    ++at_;
    return true;
  }

  void take_line_end() {
    if (at_ < text_.size() && text_[at_] == '\r') ++at_;
    if (at_ < text_.size() && text_[at_] == '\n') ++at_;
    ++line_;
  }

  bool at_field_end(size_t at) const {
    return at == text_.size() || text_[at] == separator_ || text_[at] == '\n' ||
           text_.substr(at, 2) == "\r\n" || text_.substr(at) == "\r";
  }

  std::string field() {
    if (at_ < text_.size() && text_[at_] == '"') {
      if (separator_ == ',') return strictly_quoted();
      if (auto value = quoted_on_one_line()) return std::move(*value);
    }
    const char stops[] = {separator_, '\n', '\0'};
    size_t end = std::min(text_.find_first_of(stops, at_), text_.size());
    const bool line_end = end == text_.size() || text_[end] == '\n';
    if (line_end && end > at_ && text_[end - 1] == '\r') --end;
    std::string value(text_.substr(at_, end - at_));
    at_ = end;
    return value;
  }

  // From an opening quote at `at`: the value, with `at` moved behind the closing quote. Nothing
  // where the text ends first, or the line if `one_line`.
  std::optional<std::string> unquote(size_t& at, bool one_line) const {
    std::string value;
    for (size_t begin = at + 1;;) {
      const size_t stop = text_.find_first_of(one_line ? "\"\n" : "\"", begin);
      if (stop == std::string_view::npos || text_[stop] == '\n') return std::nullopt;
      value.append(text_, begin, stop - begin);
      at = stop + 1;
      if (at == text_.size() || text_[at] != '"') return value;
      value.push_back('"');
      begin = at + 1;
    }
  }

  std::optional<std::string> quoted_on_one_line() {
    size_t at = at_;
    auto value = unquote(at, true);
    if (!value || !at_field_end(at)) return std::nullopt;
    at_ = at;
    return value;
  }

  std::string strictly_quoted() {
    size_t at = at_;
    auto value = unquote(at, false);
    if (!value)
      fail(
          "{}:{}: the quoted field {} has no closing quote; expected one before the end of the "
          "file",
          path_, line_, excerpt(text_.substr(at_, 80)));
    const auto* begin = text_.data() + at_;
    const int64_t line = line_ + std::count(begin, text_.data() + at, '\n');
    if (!at_field_end(at))
      fail(
          "{}:{}: {} after a closing quote; expected a comma or the end of the line (a quote "
          "inside a quoted field is doubled)",
          path_, line, excerpt(text_.substr(at, 20)));
    at_ = at;
    line_ = line;
    return std::move(*value);
  }

  const std::string& path_;
  std::string_view text_;
  char separator_;
  size_t at_ = 0;
  int64_t line_ = 1;
};

}  // namespace

Table parse_table(const std::string& path, std::string_view text) {
  if (text.find_first_not_of("\r\n") == std::string_view::npos)
    fail("{}:1: the file is empty; expected lines of text and label", path);
  Table table{path, {}, 0};
  RowReader reader(path, text, choose_separator(path, text));
  Row row;
  while (reader.next(row)) {
    if (!table.rows.empty() && row.fields.size() != table.rows[0].fields.size())
      fail("{}:{}: {} column{}, beginning {}; expected {} as in line {}", path, row.line,
           row.fields.size(), row.fields.size() == 1 ? "" : "s", excerpt(row.fields[0]),
           table.rows[0].fields.size(), table.rows[0].line);
    table.rows.push_back(std::move(row));
  }
  return table;
}

Table read_table(const std::string& path) {
  const TextFile file = read_text(path);
  Table table = parse_table(path, file.text);
  table.replaced = file.replaced;
  return table;
}

}  // namespace lathe::data
