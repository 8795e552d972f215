// lathe train, eval and predict: classifiers of text on the command line.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "ir/expr.h"
#include "ir/graph_text.h"
#include "runtime/files.h"
#include "tests/support/paths.h"
#include "tests/support/project.h"

namespace lathe {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::Captured;
using testing::check_names;
using testing::lathe_cli;
using testing::pooling_json;
using testing::Project;
using testing::reviews;
using testing::ScratchFolder;

TEST_CASE("train, eval and predict a classifier") {
  const Project p;
  const Captured trained = p.train({"--json"});
  CAPTURE(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(json::parse(trained.out)["val_accuracy"].get<double>() >= 0.9);
  check_names(trained.err, {"epoch 1/6", "epoch 6/6", "40 examples"});
  for (const char* file : {"config.json", "model.json", "vocabulary.txt", "weights.safetensors",
                           "checkpoint.safetensors", "history.csv"})
    CHECK(fs::exists(p.run + "/" + file));

  const Captured eval = lathe_cli({"eval", p.run, "--data", p.data, "--json"});
  REQUIRE(eval.status == 0);
  CHECK(json::parse(eval.out)["accuracy"].get<double>() >= 0.9);

  const Captured answers = lathe_cli({"predict", p.run, "A fine film!", "dull book"});
  REQUIRE(answers.status == 0);
  CHECK(answers.out.starts_with("pos\t"));
  CHECK(answers.out.find("\nneg\t") != std::string::npos);
  const Captured one = lathe_cli({"predict", p.run, "--json", "dull book"});
  CHECK(json::parse(one.out)["answers"][0]["label"] == "neg");
}

TEST_CASE("more classes than two are told apart") {
  const Project p;
  p.scratch.write("model.json", pooling_json(3, "softmax"));
  std::string table = "text\tlabel\n";
  for (int i = 0; i < 12; ++i) table += "red\t1\ngreen\t2\nblue\t3\n";
  p.scratch.write("reviews.tsv", table);
  const Captured trained = p.train();
  CAPTURE(trained.err);
  REQUIRE(trained.status == 0);
  CHECK(lathe_cli({"predict", p.run, "green"}).out.starts_with("2\t"));
}

TEST_CASE("a resumed training ends as one without a break") {
  const Project whole, half;
  REQUIRE(whole.train().status == 0);
  REQUIRE(half.train({"--epochs", "3"}).status == 2);  // an option may be given once
  REQUIRE(lathe_cli(half.train_arguments(3)).status == 0);
  const Captured resumed = half.train({"--resume"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.status == 0);
  CHECK(resumed.err.find("epoch 3/6") == std::string::npos);
  CHECK(read_text_file(whole.run + "/weights.safetensors") ==
        read_text_file(half.run + "/weights.safetensors"));
}

TEST_CASE("resuming with other options or other data is refused") {
  const Project p;
  REQUIRE(p.train().status == 0);
  const std::vector<std::string> base = {"train", p.model, "--data",  p.data,
                                         "-o",    p.run,   "--resume"};
  const auto with = [&](std::initializer_list<std::string> more) {
    std::vector<std::string> all = base;
    all.insert(all.end(), more);
    return lathe_cli(all);
  };
  const Captured batch = with({"--batch", "8"});
  CHECK(batch.status == 1);
  check_names(batch.err, {p.run, "--batch 16, not 8"});
  p.scratch.write("reviews.tsv", reviews() + "one more\tpos\n");
  const Captured data = with({});
  CHECK(data.status == 1);
  check_names(data.err, {p.data, "41 examples", "40"});
}

TEST_CASE("bad training data and models are named, and the former run stays") {
  const Project p;
  REQUIRE(p.train().status == 0);
  const std::string weights = read_text_file(p.run + "/weights.safetensors");
  p.scratch.write("reviews.tsv", reviews() + "so so\tneutral\n");
  const Captured third = p.train();
  CHECK(third.status == 1);
  check_names(third.err, {"reviews.tsv:42", "neutral"});
  p.scratch.write("reviews.tsv", "");
  const Captured empty = p.train();
  CHECK(empty.status == 1);
  check_names(empty.err, {"reviews.tsv"});
  p.scratch.write("reviews.tsv", reviews());
  const Captured words = p.train({"--vocab", "31"});
  CHECK(words.status == 1);
  check_names(words.err, {"model.json", "30 rows", "--vocab 31"});
  CHECK(read_text_file(p.run + "/weights.safetensors") == weights);
  CHECK(lathe_cli({"predict", p.run, "fine"}).status == 0);
}

TEST_CASE("a broken run is refused with its file") {
  const Project p;
  REQUIRE(p.train().status == 0);
  fs::remove(p.run + "/weights.safetensors");
  const Captured c = lathe_cli({"predict", p.run, "fine"});
  CHECK(c.status == 1);
  check_names(c.err, {"weights.safetensors"});
  p.scratch.write("run/weights.safetensors", "short");
  check_names(lathe_cli({"eval", p.run, "--data", p.data}).err, {"weights.safetensors"});
}

// A model file whose probability spells the three tokens that it was given: 0.023 for [0, 2, 3].
struct Speller {
  ScratchFolder scratch;
  std::string model = scratch.path("model.gir");
  std::string index = scratch.write("index.json", R"({"num_words": 7, "oov_token": "?",
    "word_index": {"?": 1, "good": 2, "bad": 3, "so": 4, "great": 6, "rare": 7}})");

  explicit Speller(const Dim& length = 3) {
    Graph g("speller");
    const Expr tokens = input(g, "tokens", {DType::i32, {Dim::symbol("batch"), length}});
    const Expr places = constant(g, Tensor::from<float>({3, 1}, {0.1f, 0.01f, 0.001f}));
    const Expr three = cast(slice_axis(tokens, 1, 0, 3), DType::f32);
    g.add_output("p", matmul(three, places).value);
    write_file_atomically(model, print_graph(g));
  }

  Captured predict(const std::string& text, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"predict", model, text, "--word-index", index, "--json"});
    return lathe_cli(more);
  }
  // The tokens that the model was given, as a number of three digits.
  int spelt(const std::string& text, std::vector<std::string> more = {}) const {
    const Captured c = predict(text, std::move(more));
    CAPTURE(c.err);
    REQUIRE(c.status == 0);
    const json answer = json::parse(c.out)["answers"][0];
    const auto p = answer["probability"].get<double>();
    return static_cast<int>(std::lround(1000 * (answer["label"] == "1" ? p : 1 - p)));
  }
};

TEST_CASE("a model file reads texts through a Keras word index as Keras does") {
  const Speller m;
  CHECK(m.spelt("good bad") == 23);
  CHECK(m.spelt("") == 0);
  CHECK(m.spelt("GOOD, bad! <great>") == 236);
  CHECK(m.spelt("zzz good rare") == 121);
  CHECK(m.spelt("good bad so great") == 346);
  CHECK(m.spelt("good bad so great", {"--truncating", "post"}) == 234);
  CHECK(m.spelt("good bad", {"--padding", "post"}) == 230);
  CHECK(m.spelt("good so", {"--num-words", "4"}) == 21);
  m.scratch.write("index.json", R"({"good": 2, "bad": 3})");
  CHECK(m.spelt("good zzz bad") == 23);
}

TEST_CASE("the labels of a model file are class ids or given by name") {
  const Speller m;
  CHECK(json::parse(m.predict("great").out)["answers"][0]["label"] == "0");
  CHECK(json::parse(m.predict("great great", {"--labels", "no,yes"}).out)["answers"][0]["label"] ==
        "no");
  CHECK(json::parse(m.predict("great so so", {"--labels", "no,yes"}).out)["answers"][0]["label"] ==
        "yes");
  const Captured three = m.predict("great", {"--labels", "a,b,c"});
  CHECK(three.status == 2);
  check_names(three.err, {"--labels names 3 classes", "2"});
}

TEST_CASE("eval scores a model file through its word index, the first texts only if asked") {
  const Speller m;
  const auto eval = [&](const std::string& table, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"eval", m.model, "--word-index", m.index, "--json", "--data",
                               m.scratch.write("data.tsv", table)});
    return lathe_cli(more);
  };
  const std::string numbers = "great so so\t1\nbad\t0\nbad\t1\n";
  const json all = json::parse(eval(numbers).out);
  CHECK(all["examples"] == 3);
  CHECK(all["accuracy"].get<double>() == doctest::Approx(2 / 3.0));
  CHECK(all["loss"].get<double>() ==
        doctest::Approx(-(std::log(0.644) + std::log(0.997) + std::log(0.003)) / 3));
  const json two = json::parse(eval(numbers, {"--limit", "2"}).out);
  CHECK(two["examples"] == 2);
  CHECK(two["accuracy"] == 1);
  const Captured sorted = eval("bad\t0\nbad bad\t0\ngreat so so\t1\n", {"--limit", "2"});
  check_names(sorted.err, {"data.tsv", "first 2 texts", "'0'"});
  CHECK(json::parse(eval("great so so\tpos\nbad\tneg\n").out)["accuracy"] == 1);
  // One class alone does not say which of two it is.
  const std::string good = "text\tlabel\ngreat so so\tpos\ngreat great great\tpos\n";
  const Captured unnamed = eval(good);
  CHECK(unnamed.status == 1);
  check_names(unnamed.err, {"data.tsv", "'pos'"});
  CHECK(json::parse(eval(good, {"--labels", "neg,pos"}).out)["accuracy"] == 1);
  const Captured third = eval("good\t0\nbad\t1\nso\t2\n");
  CHECK(third.status == 1);
  check_names(third.err, {"data.tsv:3", "'2'", "at most 2 classes"});
}

TEST_CASE("a word index and the model that it goes with must fit") {
  const Speller m;
  const Project p;
  REQUIRE(p.train().status == 0);
  struct Misfit {
    std::vector<std::string> arguments;
    int status;
    std::initializer_list<std::string_view> names;
  };
  const Speller free(Dim::symbol("length"));
  const std::string broken = m.scratch.write("broken.json", "{\"good\": ");
  const std::string negative = m.scratch.write("negative.json", "{\"good\": -2}");
  const Misfit misfits[] = {
      {{"predict", "none", "good"}, 1, {"none: no such file or folder"}},
      {{"predict", m.model, "good"}, 2, {"model.gir", "--word-index", "RUN folder"}},
      {{"predict", p.run, "good", "--word-index", m.index}, 2, {p.run, "--word-index"}},
      {{"predict", p.run, "good", "--maxlen", "3"}, 2, {p.run, "--maxlen", "a model file"}},
      {{"eval", p.run, "--data", p.data, "--labels", "a,b"}, 2, {p.run, "--labels"}},
      {{"predict", m.model, "good", "--word-index", m.index, "--maxlen", "4"},
       1,
       {"model.gir", "'tokens'", "3 tokens", "--maxlen 4"}},
      {{"predict", free.model, "good", "--word-index", m.index}, 2, {"any length", "--maxlen N"}},
      {{"predict", m.model, "good", "--word-index", "none.json"}, 1, {"none.json", "No such file"}},
      {{"predict", m.model, "good", "--word-index", broken}, 1, {broken, "not JSON", "word index"}},
      {{"predict", m.model, "good", "--word-index", negative}, 1, {negative, "good", "-2"}},
      {{"predict", p.model, "good", "--word-index", m.index, "--maxlen", "4", "--num-words", "31"},
       1,
       {"model.json", "30 rows", "--num-words 31"}},
  };
  for (const Misfit& misfit : misfits) {
    CAPTURE(misfit.arguments);
    const Captured c = lathe_cli(misfit.arguments);
    CHECK(c.status == misfit.status);
    CHECK(c.out.empty());
    check_names(c.err, misfit.names);
  }
  CHECK(free.spelt("good bad", {"--maxlen", "3"}) == 23);
}

TEST_CASE("words beyond the embedding count as unknown, and it is said") {
  const Project p;
  const std::string index = p.scratch.write(
      "index.json", R"({"num_words": 50, "oov_token": "?", "word_index": {"?": 1, "far": 40}})");
  const auto ask = [&](const std::string& text) {
    return lathe_cli({"predict", p.model, "--word-index", index, "--maxlen", "4", "--json", text});
  };
  const Captured far = ask("far"), unknown = ask("zzz");
  check_names(far.err, {"model.json", "30 rows", "50 words", "index 30"});
  CHECK(json::parse(far.out)["answers"][0]["probability"] ==
        json::parse(unknown.out)["answers"][0]["probability"]);
}

// The file is sorted by label: its first 2,000 reviews are all negative and would measure one class
// alone.
TEST_CASE("the IMDB max-pooling classifier scores 0.86 through its own word index") {
  const std::string folder = testing::shared_path("keras/imdb-maxpool-h5__sentiment_model");
  if (!fs::exists(folder)) {
    MESSAGE("skipped: there is no " << folder);
    return;
  }
  const Captured c = lathe_cli({"eval", folder + "/model.h5", "--word-index",
                                folder + "/tokenizer_word_index.json", "--data",
                                testing::shared_path("data/imdb/test.tsv.gz"), "--json"});
  CAPTURE(c.err);
  REQUIRE(c.status == 0);
  const json result = json::parse(c.out);
  CHECK(result["examples"] == 25000);
  CHECK(result["accuracy"].get<double>() >= 0.86);
}

}  // namespace
}  // namespace lathe
