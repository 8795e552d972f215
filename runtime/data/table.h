// Tables of text: TSV and CSV, plain or gzip.
//
// CSV follows RFC 4180: a field in double quotes may hold commas, line breaks and doubled quotes.
// TSV has no standard quoting, and real TSV text often begins with a quotation mark. So in TSV a
// field counts as quoted only where its closing quote stands before a tab or the end of the same
// line; any other quotation mark is text.
// Lines end in LF or CRLF; empty lines are skipped. Every row has as many columns as the first.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lathe::data {

struct Row {
  int64_t line = 0;  // where it begins, from 1
  std::vector<std::string> fields;
};

struct Table {
  std::string path;
  std::vector<Row> rows;  // a header, if any, is the first
  int64_t replaced = 0;   // bytes that were not valid UTF-8 and became U+FFFD
};

// The separator follows from the name (.tsv, .tab, .csv, each also with .gz) where the first line
// holds it, else from the first line: a tab before a comma.
// Errors name file:line: an empty file, no separator, a differing number of columns, a quoted field
// without end or with text after it, and those of read_text.
Table read_table(const std::string& path);

// The same on text in memory; `path` is for messages and the choice of separator.
Table parse_table(const std::string& path, std::string_view text);

}  // namespace lathe::data
