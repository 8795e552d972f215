// Tables, folders and labels: what is read, and what a bad file is told.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include "runtime/data/labelled_texts.h"
#include "runtime/data/labels.h"
#include "runtime/data/table.h"
#include "runtime/data/text_file.h"
#include "runtime/data/utf8.h"
#include "tests/support/scratch.h"
#include "tests/support/unprivileged.h"

using namespace lathe;
using namespace lathe::data;
using lathe::testing::check_names;
using lathe::testing::error_of;
using lathe::testing::ScratchFolder;
using Fields = std::vector<std::string>;

namespace {

LabelledTexts texts_of(const std::string& path, std::string_view content) {
  return label_columns(parse_table(path, content));
}

std::string table_error(const std::string& path, std::string_view content) {
  return error_of([&] { texts_of(path, content); });
}

LabelledTexts with_labels(const std::vector<std::string>& labels) {
  LabelledTexts texts{"x.tsv", {}, 0};
  for (const auto& label : labels)
    texts.examples.push_back({"t", label, fmt::format("x.tsv:{}", texts.examples.size() + 1)});
  return texts;
}

}  // namespace

TEST_CASE("csv fields in quotes hold commas, doubled quotes and line breaks") {
  const Table t =
      parse_table("a.csv", "text,label\r\n\"one, \"\"two\"\"\r\nthree\",1\r\nfour,0\r\n");
  REQUIRE(t.rows.size() == 3);
  CHECK(t.rows[1].fields == Fields{"one, \"two\"\r\nthree", "1"});
  CHECK(t.rows[1].line == 2);
  CHECK(t.rows[2].fields == Fields{"four", "0"});
  CHECK(t.rows[2].line == 4);
}

TEST_CASE("a quotation mark that opens a tsv text is text unless it closes the field") {
  const Table t = parse_table("a.tsv",
                              "\"PC\" slot\t1\n"
                              "\"never closed\t0\n"
                              "\"all of \"\"it\"\"\"\t1\n"
                              "\"with\ttab\"\t0\n"
                              "5\" screen\t1\n");
  REQUIRE(t.rows.size() == 5);
  CHECK(t.rows[0].fields == Fields{"\"PC\" slot", "1"});
  CHECK(t.rows[1].fields == Fields{"\"never closed", "0"});
  CHECK(t.rows[2].fields == Fields{"all of \"it\"", "1"});
  CHECK(t.rows[3].fields == Fields{"with\ttab", "0"});
  CHECK(t.rows[4].fields == Fields{"5\" screen", "1"});
}

TEST_CASE("empty lines are skipped, lines keep their number and the last needs no line end") {
  const Table t = parse_table("a.tsv", "\n\na\t1\r\n\r\nb\t0");
  REQUIRE(t.rows.size() == 2);
  CHECK(t.rows[0].line == 3);
  CHECK(t.rows[1].line == 5);
  CHECK(t.rows[1].fields == Fields{"b", "0"});
  CHECK(parse_table("a.tsv", "a\t1\r\nb\t0\r").rows[1].fields == Fields{"b", "0"});
}

TEST_CASE("the separator follows the name where the first line agrees, else the first line") {
  CHECK(parse_table("a.csv", "x\ty,1\n").rows[0].fields == Fields{"x\ty", "1"});
  CHECK(parse_table("a.tsv", "x,y\t1\n").rows[0].fields == Fields{"x,y", "1"});
  CHECK(parse_table("a.csv", "x\t1\n").rows[0].fields == Fields{"x", "1"});
  CHECK(parse_table("a.txt", "x,y\t1\n").rows[0].fields == Fields{"x,y", "1"});
  CHECK(parse_table("a.csv.gz", "\"x\ny\",1\n").rows[0].fields == Fields{"x\ny", "1"});
  check_names(table_error("a.tsv", "only one, column\n"), {"a.tsv:1", "one column", "tab"});
}

TEST_CASE("bad tables are named by line") {
  check_names(table_error("a.tsv", ""), {"a.tsv", "empty", "expected"});
  check_names(table_error("a.tsv", "\r\n\n"), {"a.tsv", "empty"});
  check_names(table_error("a.tsv", "a\t1\nb\t0\textra\n"), {"a.tsv:2", "3 columns", "expected 2"});
  check_names(table_error("a.tsv", "a\t1\nnothing\n"), {"a.tsv:2", "1 column,", "'nothing'"});
  check_names(table_error("a.csv", "a,1\n\"open,0\nc,1\n"), {"a.csv:2", "closing quote"});
  check_names(table_error("a.csv", "a,1\n\"x\ny\"z,0\n"),
              {"a.csv:3", "'z,0 '", "expected a comma"});
  check_names(table_error("a.tsv", "label\ttext\n"), {"a.tsv:1", "header", "no rows"});
  check_names(table_error("a.tsv", "a\tb\tc\nd\te\tf\n"), {"a.tsv:1", "3 columns", "header"});
  check_names(table_error("a.csv", "id,text,mood\n1,x,good\n"), {"a.csv:1", "label", "sentiment"});
  check_names(table_error("a.tsv", "abc\tdef\n"), {"a.tsv:1", "cannot tell", "'abc'", "header"});
}

TEST_CASE("any field comes back from csv, and damaged tables give an error or equal columns") {
  uint64_t state = 7;
  const auto random = [&](uint64_t below) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % below;
  };
  constexpr std::string_view alphabet = "a,\"\n\r\t x";
  for (int round = 0; round < 500; ++round) {
    std::vector<Fields> rows(1 + random(4), Fields(2));
    std::string text;
    for (Fields& row : rows) {
      for (std::string& field : row) {
        for (auto n = random(6); n > 0; --n) field.push_back(alphabet[random(alphabet.size())]);
        text += '"';
        for (const char c : field) text.append(c == '"' ? 2 : 1, c);
        text += "\",";
      }
      text.back() = '\n';
    }
    const Table table = parse_table("a.csv", text);
    REQUIRE(table.rows.size() == rows.size());
    for (size_t r = 0; r < rows.size(); ++r) CHECK(table.rows[r].fields == rows[r]);

    text[random(text.size())] = alphabet[random(alphabet.size())];
    for (const std::string name : {"a.csv", "a.tsv", "a"}) {
      const std::string message = error_of([&] {
        const Table damaged = parse_table(name, text);
        for (const Row& row : damaged.rows)
          CHECK(row.fields.size() == damaged.rows[0].fields.size());
      });
      if (message != "no error") check_names(message, {name + ":", "expected"});
    }
  }
}

TEST_CASE("columns are found by the names of a header, in any order and case") {
  const auto a = texts_of("a.tsv", "Label\tText\n0\tbad film\n1\tgood film\n");
  REQUIRE(a.examples.size() == 2);
  CHECK(a.examples[0].text == "bad film");
  CHECK(a.examples[0].label == "0");
  CHECK(a.examples[1].place == "a.tsv:3");
  const auto b = texts_of("b.csv", "id,Review,extra,sentiment\n7,\"so, so\",x, positive \n");
  REQUIRE(b.examples.size() == 1);
  CHECK(b.examples[0].text == "so, so");
  CHECK(b.examples[0].label == "positive");
  const auto c = texts_of("c.tsv", "sentence\tstars\nfine\t4\nawful\t1\n");
  REQUIRE(c.examples.size() == 2);
  CHECK(c.examples[1].label == "1");
}

TEST_CASE("columns without a header are found by their content") {
  const auto a = texts_of("a.tsv", "good film\t1\nbad film\t0\nugly\t0\n");
  REQUIRE(a.examples.size() == 3);
  CHECK(a.examples[0].label == "1");
  const auto b = texts_of("b.tsv", "positive\t很好\nnegative\t不好\n");
  CHECK(b.examples[1].text == "不好");
  CHECK(b.examples[1].label == "negative");
  const auto c = texts_of("c.tsv", "a b c\tsport\nd e f\tnews\ng h\tsport\n");
  CHECK(c.examples[2].label == "sport");
  const auto one = texts_of("d.tsv", "我喜欢编程\tpositive\n");
  CHECK(one.examples.at(0).text == "我喜欢编程");
  const auto unknown_names = texts_of("e.tsv", "phrase\tstars\nfine\t4\nawful\t1\n");
  CHECK(unknown_names.examples.size() == 2);
}

TEST_CASE("a text of one word like a column's name is no header") {
  const auto a = texts_of("a.tsv", "review\tnegative\nfine\tpositive\nmeh\tnegative\n");
  REQUIRE(a.examples.size() == 3);
  CHECK(a.examples[0].text == "review");
}

TEST_CASE("gzip, a byte order mark and bytes that are not UTF-8 are taken in stride") {
  const ScratchFolder dir;
  const auto gz =
      read_labelled_texts(dir.write_gzip("a.tsv.gz", "\xEF\xBB\xBFlabel\ttext\n1\tgood\n"));
  REQUIRE(gz.examples.size() == 1);
  CHECK(gz.examples[0].text == "good");
  CHECK(gz.examples[0].place == dir.path("a.tsv.gz") + ":2");
  const auto bad =
      read_labelled_texts(dir.write("b.tsv", "caf\xE9 \xC3\xA9 \xED\xA0\x80\t1\nx y z\t0\n"));
  CHECK(bad.examples[0].text == "caf\uFFFD é \uFFFD\uFFFD\uFFFD");
  CHECK(bad.replaced == 4);
}

TEST_CASE("files that cannot be read are named with the reason") {
  const ScratchFolder dir;
  const auto read = [](const std::string& path) {
    return error_of([&] { read_labelled_texts(path); });
  };
  check_names(read(dir.path("none.tsv")), {"none.tsv", "No such file"});
  check_names(read(dir.write("empty.tsv", "")), {"empty.tsv", "empty"});
  check_names(read(dir.write("empty.tsv.gz", "")), {"empty.tsv.gz", "empty"});
  check_names(read(dir.write("plain.tsv.gz", "a b c d\t1\n")), {"plain.tsv.gz", "gzip"});
  check_names(read(dir.write("utf16.tsv",
                             "\xFF\xFE"
                             "a")),
              {"utf16.tsv", "UTF-16", "expected UTF-8"});
  check_names(read(dir.write("nul.tsv", std::string("a\t1\nb\0\t0\n", 9))), {"nul.tsv:2", "NUL"});
  check_names(error_of([&] { read_text(dir.path()); }), {dir.path(), "folder"});

  std::string text;
  for (int i = 0; i < 20000; ++i) text += fmt::format("text number {} of many\t{}\n", i, i % 2);
  const std::string whole = read_bytes(dir.write_gzip("whole.gz", text));
  CHECK(whole == text);
  std::ifstream in(dir.path("whole.gz"), std::ios::binary);
  std::string packed((std::istreambuf_iterator<char>(in)), {});
  check_names(read(dir.write("cut.tsv.gz", packed.substr(0, packed.size() / 2))),
              {"cut.tsv.gz", "cut short", "expected"});
  check_names(read(dir.write("tail.tsv.gz", packed.substr(0, packed.size() - 4))),
              {"tail.tsv.gz", "cut short"});
  packed[packed.size() / 2] ^= 0x55;
  check_names(read(dir.write("bad.tsv.gz", packed)), {"bad.tsv.gz", "damaged"});
  check_names(error_of([&] { read_bytes(dir.path("whole.gz"), 1000); }), {"whole.gz", "1000"});
}

TEST_CASE("a file without permission is named as such") {
  const ScratchFolder dir;
  const std::string file = dir.write("secret.tsv", "a b c\t1\n");
  REQUIRE(chmod(dir.path().c_str(), 0755) == 0);
  REQUIRE(chmod(file.c_str(), 0) == 0);
  const lathe::testing::Unprivileged user;
  const std::string reading = error_of([&] { read_labelled_texts(file); });
  check_names(reading, {"secret.tsv", "Permission denied"});
}

TEST_CASE("folders in the layout of aclImdb give their texts in bytewise order") {
  const ScratchFolder dir;
  dir.write("acl/train/pos/0_9.txt", "fine");
  dir.write("acl/train/pos/10_7.txt", "good");
  dir.write("acl/train/neg/0_1.txt", "bad");
  dir.write("acl/train/neg/notes.md", "not a review");
  dir.write("acl/train/unsup/0_0.txt", "no label");
  dir.write("acl/test/pos/0_8.txt", "nice");
  dir.write("acl/test/neg/0_3.txt", "poor");
  dir.write("acl/README", "x");
  const auto train = read_labelled_texts(dir.path("acl"));
  REQUIRE(train.examples.size() == 3);
  CHECK(train.examples[0].text == "bad");
  CHECK(train.examples[0].label == "neg");
  CHECK(train.examples[1].text == "fine");
  CHECK(train.examples[2].place == dir.path("acl/train/pos/10_7.txt"));
  CHECK(read_labelled_texts(dir.path("acl"), Split::Test).examples[1].text == "nice");
  CHECK(read_labelled_texts(dir.path("acl/test")).examples.size() == 2);
  CHECK(LabelMap::learn(train, 2).names() == Fields{"neg", "pos"});
}

TEST_CASE("a folder without a folder a label is refused") {
  const ScratchFolder dir;
  dir.write("a/x.txt", "text");
  check_names(error_of([&] { read_labelled_texts(dir.path("a")); }), {"a:", "pos/ and neg/"});
  dir.write("b/pos/x.txt", "text");
  check_names(error_of([&] { read_labelled_texts(dir.path("b")); }), {"only the folder pos/"});
}

TEST_CASE("numeric labels are ordered by value and equal numbers are one class") {
  const auto map = LabelMap::learn(with_labels({"10", "2", "-1", "2.0", "+10"}));
  CHECK(map.names() == Fields{"-1", "2", "10"});
  CHECK(map.find("10.0") == 2);
  CHECK(map.find("3") == -1);
  CHECK(map.find("nan") == -1);
  CHECK(LabelMap::learn(with_labels({"1", "0"})).names() == Fields{"0", "1"});
}

TEST_CASE("label words are ordered negative, neutral, positive, each bytewise") {
  CHECK(LabelMap::learn(with_labels({"positive", "negative"})).names() ==
        Fields{"negative", "positive"});
  CHECK(LabelMap::learn(with_labels({"good", "so-so", "bad"})).names() ==
        Fields{"bad", "so-so", "good"});
  CHECK(LabelMap::learn(with_labels({"world", "sport"})).names() == Fields{"sport", "world"});
  CHECK(LabelMap::learn(with_labels({"正面", "负面"})).names() == Fields{"负面", "正面"});
  const auto map = LabelMap::learn(with_labels({"Pos", "NEG", "pos"}), 2);
  CHECK(map.names() == Fields{"NEG", "Pos"});
  CHECK(map.find("POS") == 1);
  CHECK(map.encode(with_labels({"pos", "neg", "Neg"})) == std::vector<int32_t>{1, 0, 0});
}

TEST_CASE("a third class, a missing label, one class and an unknown label are named") {
  check_names(error_of([] { LabelMap::learn(with_labels({"neg", "pos", "meh"}), 2); }),
              {"x.tsv:3", "'meh'", "expected at most 2", "'neg' or 'pos'"});
  check_names(error_of([] { LabelMap::learn(with_labels({"neg", ""})); }), {"x.tsv:2", "empty"});
  check_names(error_of([] { LabelMap::learn(with_labels({"1", "1"})); }), {"x.tsv", "'1'", "two"});
  check_names(error_of([] { LabelMap::learn(with_labels({})); }), {"x.tsv", "no examples"});
  const auto map = LabelMap::learn(with_labels({"0", "1"}));
  check_names(error_of([&] { map.encode(with_labels({"0", "2"})); }),
              {"x.tsv:2", "'2'", "expected '0' or '1'"});
  check_names(error_of([] { LabelMap({"a", "A"}); }), {"'A'", "twice"});
}

TEST_CASE("excerpts are short, on one line and cut between code points") {
  CHECK(excerpt("a\tb\n") == "'a b '");
  std::string han;
  for (int i = 0; i < 30; ++i) han += "喜";
  CHECK(excerpt(han) == fmt::format("'{}...'", han.substr(0, 60)));
  CHECK(excerpt("x" + han) == fmt::format("'x{}...'", han.substr(0, 57)));
}
