// The pipeline on real data: ../shared/data, and the word index of a real Keras model.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>

#include "runtime/data/batches.h"
#include "runtime/data/idx.h"
#include "runtime/data/keras_tokenizer.h"
#include "runtime/data/labelled_texts.h"
#include "runtime/data/labels.h"
#include "runtime/data/vocabulary.h"
#include "tests/support/paths.h"

using namespace lathe;
using namespace lathe::data;

namespace {

// The path below the shared folder, or empty, with a message, where it is absent.
std::string shared(const std::string& file) {
  std::string path = testing::shared_path(file);
  if (std::filesystem::exists(path)) return path;
  MESSAGE("skipped: no ", path);
  return {};
}

int64_t count_of(const Dataset& data, int32_t label) {
  int64_t count = 0;
  for (int64_t i = 0; i < data.size(); ++i) count += data.label(i) == label;
  return count;
}

double share_of_unknown(const Dataset& data) {
  int64_t unknown = 0;
  for (int64_t i = 0; i < data.size(); ++i)
    for (const int32_t id : data.tokens(i)) unknown += id == Vocabulary::kUnknown;
  return static_cast<double>(unknown) / static_cast<double>(data.token_count());
}

TextEncoder encoder_of(const Vocabulary& vocabulary) {
  return [&vocabulary](std::string_view text) { return vocabulary.encode(text); };
}

}  // namespace

TEST_CASE("imdb loads, cleans and encodes in seconds") {
  const std::string path = shared("data/imdb/train.tsv.gz");
  if (path.empty()) return;
  const auto start = std::chrono::steady_clock::now();
  const LabelledTexts texts = read_labelled_texts(path);
  const LabelMap labels = LabelMap::learn(texts, 2);
  const Vocabulary vocabulary = build_vocabulary(texts, 10000);
  const Dataset data = encode(texts, labels, encoder_of(vocabulary));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  MESSAGE("25,000 reviews, ", data.token_count(), " tokens in ", took.count(), " s");
  CHECK(took.count() < 30);  // some 2 s alone on one core; the slack is for sanitizers
  CHECK(data.size() == 25000);
  CHECK(labels.names() == std::vector<std::string>{"0", "1"});
  CHECK(count_of(data, 1) == 12500);
  CHECK(vocabulary.size() == 10000);
  CHECK(vocabulary.word(2) == "the");
  CHECK(vocabulary.id("br") == Vocabulary::kUnknown);
  CHECK(share_of_unknown(data) < 0.06);
  const double mean = static_cast<double>(data.token_count()) / 25000;
  CHECK(mean > 225);
  CHECK(mean < 240);
}

TEST_CASE("chnsenticorp has words as labels, no header and stray quotes") {
  const std::string path = shared("data/chnsenticorp/train.tsv");
  if (path.empty()) return;
  const LabelledTexts train = read_labelled_texts(path);
  const LabelledTexts dev = read_labelled_texts(shared("data/chnsenticorp/dev.tsv"));
  CHECK(train.examples.size() == 9600);
  CHECK(dev.examples.size() == 1200);
  CHECK(train.replaced == 0);
  const LabelMap labels = LabelMap::learn(train, 2);
  CHECK(labels.names() == std::vector<std::string>{"negative", "positive"});
  const Vocabulary vocabulary = build_vocabulary(train, 10000);
  CHECK(vocabulary.word(2) == "的");
  CHECK(vocabulary.id("喜") > Vocabulary::kUnknown);
  const Dataset data = encode(dev, labels, encoder_of(vocabulary));
  CHECK(data.size() == 1200);
  CHECK(count_of(data, 1) > 500);
  CHECK(count_of(data, 1) < 700);
  CHECK(share_of_unknown(data) < 0.01);
}

TEST_CASE("sst2 has numbers as labels and no header") {
  for (const auto& [file, rows] : {std::pair{"train", 6920}, {"dev", 872}, {"test", 1821}}) {
    const std::string path = shared(fmt::format("data/sst2/{}.tsv", file));
    if (path.empty()) return;
    const LabelledTexts texts = read_labelled_texts(path);
    CHECK(texts.examples.size() == static_cast<size_t>(rows));
    CHECK(LabelMap::learn(texts, 2).names() == std::vector<std::string>{"0", "1"});
  }
}

TEST_CASE("the project's own reviews load") {
  const std::string folder = testing::source_path("examples/reviews/data/");
  const LabelledTexts train = read_labelled_texts(folder + "train.tsv");
  CHECK(train.examples.size() >= 600);
  CHECK(train.replaced == 0);
  CHECK(LabelMap::learn(train, 2).encode(read_labelled_texts(folder + "test.tsv")).size() >= 100);
}

TEST_CASE("mnist's images and labels load and batch") {
  const std::string images = shared("data/mnist/t10k-images-idx3-ubyte.gz");
  if (images.empty()) return;
  const auto set = read_idx_images(images, shared("data/mnist/t10k-labels-idx1-ubyte.gz"));
  CHECK(set.images.dims() == Dims{10000, 28, 28, 1});
  CHECK(set.labels.data<int32_t>()[0] == 7);
  CHECK(read_idx(shared("data/mnist/train-labels-idx1-ubyte.gz")).dims() == Dims{60000});
  Batches batches(10000, tensor_batches(set.images, set.labels), {.batch = 96, .seed = 1});
  int64_t seen = 0;
  while (const auto batch = batches.next()) seen += batch->size();
  CHECK(seen == 10000);
}

TEST_CASE("a real keras word index encodes as keras does") {
  const std::string path =
      shared("keras/imdb-maxpool-h5__sentiment_model/tokenizer_word_index.json");
  if (path.empty()) return;
  const KerasTokenizer keras = KerasTokenizer::load(path);
  CHECK(keras.num_words == 8000);
  CHECK(keras.oov_token == "<UNK>");
  CHECK(keras.encode("Movie film, qqqq one") == std::vector<int32_t>{3, 4, 1, 6});
  for (const int32_t id : keras.encode("an unforgettable masterpiece of zebra-striped celluloid"))
    CHECK(id < 8000);
}
