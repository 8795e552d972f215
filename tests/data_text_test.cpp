// Cleaning, tokens, vocabularies, Keras' tokenizer.
#include <doctest/doctest.h>

#include "runtime/data/clean.h"
#include "runtime/data/keras_tokenizer.h"
#include "runtime/data/markup.h"
#include "runtime/data/tokenize.h"
#include "runtime/data/vocabulary.h"
#include "tests/support/scratch.h"

using namespace lathe;
using namespace lathe::data;
using lathe::testing::check_names;
using lathe::testing::error_of;
using lathe::testing::ScratchFolder;

namespace {

// Tokens joined by '|'.
std::string tokens_of(std::string_view text) {
  std::string out;
  for (const auto token : tokenize(text)) out.append(out.empty() ? "" : "|").append(token);
  return out;
}

std::string words_of(const KerasTokenizer& tokenizer, std::string_view text) {
  std::string out;
  for (const auto& word : tokenizer.words(text)) out.append(out.empty() ? "" : "|").append(word);
  return out;
}

using Ids = std::vector<int32_t>;

}  // namespace

TEST_CASE("tags of html elements, comments and scripts become a space") {
  CHECK(strip_markup("a<br />b<BR>c</p>d") == "a b c d");
  CHECK(strip_markup("<a href=\"x\" class='y'>link</a>") == " link ");
  CHECK(strip_markup("a<!-- <b>no</b> -->b<!DOCTYPE html>c") == "a b c");
  CHECK(strip_markup("a<script>if (x<y) z();</SCRIPT >b<style>p{}</style>c") == "a b c");
}

TEST_CASE("what only looks like markup stays") {
  for (const std::string text :
       {"a < b and c > d", "<3", "<红楼>", "<sigh>", "AT&T", "a &unknown; b", "<br", "<", "&", "&;",
        "&#;", "&#x;", "&#12ab;", "<!-- open", "</", "<>"})
    CHECK(strip_markup(text) == text);
  CHECK(strip_markup("<b <i>x") == "<b  x");
}

TEST_CASE("character references become characters") {
  CHECK(strip_markup("&amp;&lt;br&gt;&quot;&eacute;&hellip;&thetasym;") == "&<br>\"é…ϑ");
  CHECK(strip_markup("&#39;&#x2019;&#X4e2d;&#128512;") == "'’中😀");
  CHECK(strip_markup("&#146;&#151;") == "’—");
  CHECK(strip_markup("&#0;&#xD800;&#x110000;") == "\uFFFD\uFFFD\uFFFD");
  CHECK(strip_markup("&#99999999999;") == "&#99999999999;");
}

TEST_CASE("cleaning folds case and compatibility forms and collapses blanks") {
  CHECK(clean_text("  Hello,\t\r\n WORLD!  ") == "hello, world!");
  CHECK(clean_text("Good.<br /><br />Bad") == "good. bad");
  CHECK(clean_text("ＡＢＣ　１２３！") == "abc 123!");
  CHECK(clean_text("Straße ﬁn Ⅳ") == "strasse fin iv");
  CHECK(clean_text("ÉCOLE e\u0301cole") == "école école");
  CHECK(clean_text("don’t\u00A0stop\u2028now") == "don't stop now");
  CHECK(clean_text("zero\u200Bwidth so\u00ADft") == "zerowidth soft");
  CHECK(clean_text("我喜欢编程") == "我喜欢编程");
  CHECK(clean_text("") == "");
  CHECK(clean_text(" \n<br>\t") == "");
}

TEST_CASE("cleaning takes any bytes and is idempotent") {
  CHECK(clean_text("a\xFF"
                   "b") == "a\uFFFDb");
  uint64_t state = 1;
  for (int round = 0; round < 500; ++round) {
    std::string bytes;
    for (int i = 0; i < 60; ++i) {
      state = state * 6364136223846793005ull + 1442695040888963407ull;
      bytes.push_back(static_cast<char>(state >> 56));
    }
    const std::string once = clean_text(bytes);
    if (once.find_first_of("<&") == std::string::npos) CHECK(clean_text(once) == once);
    for (const auto token : tokenize(bytes)) CHECK_FALSE(token.empty());
  }
}

TEST_CASE("the ascii path and the Unicode path of cleaning agree") {
  const std::string ascii = "It's A Test: 1,2;  (three)\t\"Four\" <br/> AT&amp;T ~ end.";
  const std::string cleaned = clean_text(ascii);
  CHECK(clean_text(ascii + " é") == cleaned + " é");
  CHECK(clean_text("é " + ascii) == "é " + cleaned);
}

TEST_CASE("words are runs of letters and digits with apostrophes inside") {
  CHECK(tokens_of("it's a well-made, 1930s film!") == "it's|a|well|made|1930s|film");
  CHECK(tokens_of("'quoted' dogs' 'tis rock'n'roll ''") == "quoted|dogs|tis|rock'n'roll");
  CHECK(tokens_of("l’été naïve кино") == "l’été|naïve|кино");
  CHECK(tokens_of("7.5/10 snake_case") == "7|5|10|snake|case");
  CHECK(tokens_of("e\u0301te\u0301") == "e\u0301te\u0301");
  CHECK(tokens_of("...") == "");
  CHECK(tokens_of("") == "");
  CHECK(tokens_of("a'") == "a");
}

TEST_CASE("han and kana are single characters and hangul is words") {
  CHECK(tokens_of("我喜欢编程！") == "我|喜|欢|编|程");
  CHECK(tokens_of("用Python写，3天") == "用|Python|写|3|天");
  CHECK(tokens_of("カタカナとひらがな") == "カ|タ|カ|ナ|と|ひ|ら|が|な");
  CHECK(tokens_of("영화가 좋다") == "영화가|좋다");
  CHECK(tokens_of("𠮷野") == "𠮷|野");
  CHECK(tokens_of("か\u3099") == "か\u3099");
  CHECK(tokens_of("好★★😀 ok") == "好|★|★|😀|ok");
  CHECK(tokens_of("a\uFFFDb\xFF"
                  "c") == "a|b|c");
}

TEST_CASE("a vocabulary counts ids from 2 by frequency, ties bytewise") {
  WordCounter counter;
  for (const auto word : tokenize("b a c a b d a e")) counter.add(word);
  const Vocabulary all = counter.most_frequent(100);
  CHECK(all.size() == 7);
  CHECK(all.id("a") == 2);
  CHECK(all.id("b") == 3);
  CHECK(all.id("c") == 4);
  CHECK(all.id("d") == 5);
  CHECK(all.id("zebra") == Vocabulary::kUnknown);
  CHECK(all.word(0) == "[PAD]");
  CHECK(all.word(1) == "[UNK]");
  CHECK(all.word(6) == "e");
  const Vocabulary small = counter.most_frequent(4);
  CHECK(small.size() == 4);
  CHECK(small.id("b") == 3);
  CHECK(small.id("c") == Vocabulary::kUnknown);
  CHECK(counter.most_frequent(100, 2).size() == 4);
  check_names(error_of([&] { counter.most_frequent(2); }), {"vocabulary", "2", "expected 3"});
}

TEST_CASE("a vocabulary of texts cleans them first and encodes alike") {
  LabelledTexts texts{"x", {}, 0};
  texts.examples = {{"Good<br />FILM, good", "1", "x:1"}, {"ＧＯＯＤ bad", "0", "x:2"}};
  const Vocabulary v = build_vocabulary(texts, 10);
  CHECK(v.id("good") == 2);
  CHECK(v.encode("A GOOD film.<br>") == Ids{1, 2, v.id("film")});
  CHECK(v.encode("").empty());
}

TEST_CASE("a vocabulary comes back from its file") {
  const ScratchFolder dir;
  const Vocabulary v({"the", "don't", "我", "[PAD]", "é"});
  const std::string file = dir.path("vocabulary.txt");
  v.save(file);
  const Vocabulary back = Vocabulary::load(file);
  CHECK(back == v);
  CHECK(back.id("我") == 4);
  CHECK(Vocabulary::load(dir.write("crlf.txt", "[PAD]\r\n[UNK]\r\na\r\n")).id("a") == 2);
  CHECK(Vocabulary::load(dir.write("none.txt", "[PAD]\n[UNK]\n")).size() == 2);
}

TEST_CASE("bad vocabulary files are named by line") {
  const ScratchFolder dir;
  const auto load = [&](std::string_view content) {
    return error_of([&] { Vocabulary::load(dir.write("v.txt", content)); });
  };
  check_names(load(""), {"v.txt:1", "expected [PAD]"});
  check_names(load("the\nof\n"), {"v.txt:1", "'the'", "[PAD]"});
  check_names(load("[PAD]\nthe\n"), {"v.txt:2", "'the'", "[UNK]"});
  check_names(load("[PAD]\n[UNK]\na\n\nb\n"), {"v.txt:4", "empty line"});
  check_names(load("[PAD]\n[UNK]\na\nb\na\n"), {"v.txt:5", "'a'", "line 3"});
  check_names(error_of([&] { Vocabulary::load(dir.path("no.txt")); }), {"no.txt", "No such file"});
}

TEST_CASE("keras' words are split at blanks after its filters") {
  const KerasTokenizer keras;
  CHECK(words_of(keras, "It's GOOD, isn't-it?\n(yes)") == "it's|good|isn't|it|yes");
  CHECK(words_of(keras, "ÉTÉ  a\u00A0b") == "été|a\u00A0b");
  CHECK(words_of(keras, "!!!").empty());
  const KerasTokenizer other = {.filters = "", .split = ", ", .lower = false};
  CHECK(words_of(other, "A, b c, , d") == "A|b c|d");
  const KerasTokenizer characters = {.char_level = true};
  CHECK(words_of(characters, "Aé我!") == "a|é|我|!");
}

TEST_CASE("keras' ids stop at num_words and unknown words drop out or become oov") {
  KerasTokenizer keras;
  keras.word_index = {{"<oov>", 1}, {"the", 2}, {"film", 3}, {"rare", 9}};
  CHECK(keras.encode("The rare film, never") == Ids{2, 9, 3});
  keras.num_words = 9;
  CHECK(keras.encode("The rare film, never") == Ids{2, 3});
  keras.oov_token = "<oov>";
  CHECK(keras.encode("The rare film, never") == Ids{2, 1, 3, 1});
}

TEST_CASE("keras' three forms of a word index load") {
  const ScratchFolder dir;
  const auto bare = KerasTokenizer::load(dir.write("bare.json", R"({"the": 1, "word_index": 2})"));
  CHECK(bare.encode("the the word") == Ids{1, 1});
  CHECK_FALSE(bare.num_words.has_value());
  const auto beside = KerasTokenizer::load(dir.write(
      "beside.json",
      R"({"num_words": 3, "oov_token": "<U>", "lower": false, "word_index": {"<U>": 1, "a": 2, "b": 3}})"));
  CHECK(beside.encode("a b A") == Ids{2, 1, 1});
  const auto keras = KerasTokenizer::load(dir.write(
      "keras.json",
      R"({"class_name": "Tokenizer", "config": {"num_words": null, "oov_token": null, "filters": "-",
          "word_index": "{\"a\": 1, \"b!\": 2}"}})"));
  CHECK(keras.encode("a-b! c") == Ids{1, 2});
}

TEST_CASE("bad word indices are named") {
  const ScratchFolder dir;
  const auto load = [&](std::string_view content) {
    return error_of([&] { KerasTokenizer::load(dir.write("w.json", content)); });
  };
  check_names(load(""), {"w.json", "not JSON", "expected"});
  check_names(load(R"({"a": 1, "b")"), {"w.json", "not JSON", "byte 13"});
  check_names(load("[1, 2]"), {"w.json", "expected an object"});
  check_names(load(R"({"a": "x"})"), {"w.json", "'a'", "'\"x\"'", "whole number"});
  check_names(load(R"({"a": -1})"), {"w.json", "'a'", "-1"});
  check_names(load(R"({"a": 1.5})"), {"'a'", "1.5"});
  check_names(load(R"({"a": 4294967297})"), {"'a'", "4294967297"});
  check_names(load(R"({"word_index": {"a": 1}, "lower": 3})"),
              {"w.json", "'lower'", "true or false"});
  check_names(load(R"({"word_index": "{oops"})"), {"w.json", "'word_index' is not JSON"});
  check_names(load(R"({"word_index": [1]})"), {"w.json", "word_index", "an object"});
  check_names(load(R"({"class_name": "Tokenizer", "config": {}})"), {"w.json", "word_index"});
  check_names(load(R"({"word_index": {}, "split": ""})"), {"w.json", "split"});
}
