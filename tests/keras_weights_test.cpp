#include <doctest/doctest.h>

#include <fstream>
#include <random>

#include "frontend/keras/hdf5.h"
#include "frontend/keras/weights.h"
#include "runtime/files.h"
#include "runtime/json.h"
#include "runtime/zip_archive.h"
#include "tests/support/expect_error.h"
#include "tests/support/hdf5_builder.h"
#include "tests/support/paths.h"
#include "tests/support/scratch.h"

namespace lathe {
namespace {

// "name: type, ..." of every weight, to compare at a glance.
std::string describe(const KerasLayerWeights& layer) {
  std::string out = layer.layer_name + ":";
  for (const NamedTensor& w : layer.weights) out += " " + w.name + "=" + w.tensor.type_text();
  return out;
}

std::vector<KerasLayerId> layers_of(const KerasFile& file) {
  std::vector<KerasLayerId> ids;
  const nlohmann::json config = parse_json(file.config_json, file.path);
  for (const auto& layer : config["config"]["layers"])
    ids.push_back({layer["config"]["name"], layer["class_name"]});
  return ids;
}

std::optional<KerasFile> read_shared(const std::string& name) {
  const std::string path = testing::shared_path("keras/" + name);
  if (std::filesystem::exists(path)) return read_keras_file(path);
  MESSAGE("skipped: no " << path);
  return std::nullopt;
}

TEST_CASE("class names are spelled as Keras spells them") {
  CHECK(keras_snake_case("LSTM") == "lstm");
  CHECK(keras_snake_case("Conv2D") == "conv2d");
  CHECK(keras_snake_case("Conv2DTranspose") == "conv2d_transpose");
  CHECK(keras_snake_case("BatchNormalization") == "batch_normalization");
  CHECK(keras_snake_case("GlobalMaxPooling1D") == "global_max_pooling1d");
  CHECK(keras_snake_case("ReLU") == "re_lu");
  CHECK(keras_snake_case("PReLU") == "p_re_lu");
  CHECK(keras_snake_case("My>Layer") == "my_layer");
}

TEST_CASE("a .keras file of Keras 3.11 gives its layers' weights") {
  const auto file = read_shared("imdb-lstm-v3__imdb_sentiment_model/model.keras");
  if (!file) return;
  CHECK(file->layout == KerasLayout::by_class);
  const auto layers = match_weights(layers_of(*file), *file);
  REQUIRE(layers.size() == 4);
  CHECK(describe(layers[0]) == "input_layer:");
  CHECK(describe(layers[1]) == "embedding: vars/0=f32[5000,35]");
  CHECK(describe(layers[2]) ==
        "lstm: cell/vars/0=f32[35,400] cell/vars/1=f32[100,400] cell/vars/2=f32[400]");
  CHECK(describe(layers[3]) == "dense: vars/0=f32[100,1] vars/1=f32[1]");
}

TEST_CASE("a .keras file of Keras 3.4 tells two layers of a class apart and drops random states") {
  const auto file = read_shared("stacked-lstm-v3__lstm_model/model.keras");
  if (!file) return;
  const auto layers = match_weights(layers_of(*file), *file);
  REQUIRE(layers.size() == 6);
  CHECK(describe(layers[1]) ==
        "lstm: cell/vars/0=f32[1,200] cell/vars/1=f32[50,200] cell/vars/2=f32[200]");
  CHECK(describe(layers[2]) == "dropout:");
  CHECK(describe(layers[3]) ==
        "lstm_1: cell/vars/0=f32[50,200] cell/vars/1=f32[50,200] cell/vars/2=f32[200]");
  CHECK(describe(layers[5]) == "dense: vars/0=f32[50,1] vars/1=f32[1]");
}

TEST_CASE("a legacy .h5 file with variable-length names gives its layers' weights") {
  const auto file = read_shared("imdb-maxpool-h5__sentiment_model/model.h5");
  if (!file) return;
  CHECK(file->layout == KerasLayout::by_name);
  const auto layers = match_weights(layers_of(*file), *file);
  REQUIRE(layers.size() == 4);
  CHECK(describe(layers[1]) == "embedding: embedding/embeddings:0=f32[5000,16]");
  CHECK(describe(layers[2]) == "global_max_pooling1d:");
  CHECK(describe(layers[3]) == "dense: dense/kernel:0=f32[16,1] dense/bias:0=f32[1]");
}

TEST_CASE("a legacy .h5 file with fixed-length names gives its layers' weights in Keras' order") {
  const auto file = read_shared("mlperf-tiny__pretrainedResnet/model.h5");
  if (!file) return;
  CHECK(file->layers.size() == 30);
  const auto layers = match_weights(layers_of(*file), *file);
  CHECK(describe(layers[1]) == "conv2d: conv2d/kernel:0=f32[3,3,3,16] conv2d/bias:0=f32[16]");
  CHECK(describe(layers[2]) ==
        "batch_normalization: batch_normalization/gamma:0=f32[16] "
        "batch_normalization/beta:0=f32[16] batch_normalization/moving_mean:0=f32[16] "
        "batch_normalization/moving_variance:0=f32[16]");
  CHECK(describe(layers.back()) == "dense: dense/kernel:0=f32[64,10] dense/bias:0=f32[10]");
}

// A model of two dense layers in each layout.
void build_by_class(const std::string& path) {
  Hdf5Builder h5(path);
  h5.dataset("/layers/dense/vars/0", {1, 2});
  h5.dataset("/layers/dense_1/vars/0", {3});
  for (int i = 0; i < 12; ++i)
    h5.dataset("/layers/bidirectional/forward_layer/cell/vars/" + std::to_string(i),
               {static_cast<float>(i)});
  h5.dataset("/layers/bidirectional/backward_layer/cell/vars/0", {5});
  h5.dataset("/layers/dropout/seed_generator/vars/0", {6});
  h5.dataset("/optimizer/vars/0", {7});
}

TEST_CASE("layers are matched by class and order whatever they are called") {
  const testing::ScratchFolder folder;
  build_by_class(folder.path("m.weights.h5"));
  const KerasFile file = read_keras_file(folder.path("m.weights.h5"));
  CHECK(file.config_json.empty());
  const auto layers = match_weights(
      {{"first", "Dense"}, {"both", "Bidirectional"}, {"rest", "Dropout"}, {"last", "Dense"}},
      file);
  CHECK(layers[0].layer_name == "first");
  CHECK(layers[0].weights.at(0).tensor.size() == 2);
  CHECK(layers[3].weights.at(0).tensor.at(0) == 3);
  CHECK(layers[2].weights.empty());
  REQUIRE(layers[1].weights.size() == 13);
  CHECK(layers[1].weights[10].name == "forward_layer/cell/vars/10");  // by number, not by text
  CHECK(layers[1].weights[12].name == "backward_layer/cell/vars/0");
  expect_error([&] { match_weights({{"a", "Dense"}, {"b", "Dense"}}, file); },
               {"m.weights.h5", "\"bidirectional\"", "none of the configuration's layers"});
  expect_error([&] { match_weights({{"a", "Dense"}, {"b", "Bidirectional"}}, file); },
               {"\"dense_1\"", "1 layers of that class"});
}

TEST_CASE("the early layout's numbers may have gaps") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("m.h5");
  {
    Hdf5Builder h5(path);
    h5.dataset("/_layer_checkpoint_dependencies/dense/vars/0", {1});
    h5.dataset("/_layer_checkpoint_dependencies/dense_2/vars/0", {2});
  }
  const auto layers = match_weights({{"a", "Dense"}, {"b", "Dense"}}, read_keras_file(path));
  CHECK(layers[0].weights.at(0).tensor.at(0) == 1);
  CHECK(layers[1].weights.at(0).tensor.at(0) == 2);
}

TEST_CASE("a model within a model is matched in its turn") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("m.h5");
  {
    Hdf5Builder h5(path);
    h5.dataset("/layers/functional/layers/dense/vars/0", {1});
    h5.dataset("/layers/functional/layers/dense_1/vars/0", {2});
  }
  const KerasFile file = read_keras_file(path);
  const auto outer = match_weights({{"encoder", "Functional"}}, file);
  const auto inner =
      match_weights({{"a", "Dense"}, {"b", "Dense"}}, nested_weights(file, outer[0]));
  CHECK(inner[1].weights.at(0).name == "vars/0");
  CHECK(inner[1].weights.at(0).tensor.at(0) == 2);
}

void build_legacy(const std::string& path, const std::string& root) {
  Hdf5Builder h5(path);
  h5.dataset(root + "/dense_7/dense_7/kernel:0", {1, 2, 3});
  h5.strings(root + "/dense_7", "weight_names", {"dense_7/kernel:0"});
  h5.strings(root.empty() ? "/" : root, "layer_names0", {"dense_7"});
}

TEST_CASE("legacy weights stand at the root or below it, and split lists are joined") {
  const testing::ScratchFolder folder;
  for (const std::string root : {"", "/model_weights"}) {
    build_legacy(folder.path("m.h5"), root);
    const KerasFile file = read_keras_file(folder.path("m.h5"));
    const auto layers = match_weights({{"input", "InputLayer"}, {"dense_7", "Dense"}}, file);
    CHECK(describe(layers[1]) == "dense_7: dense_7/kernel:0=f32[3]");
    expect_error([&] { match_weights({{"dense", "Dense"}}, file); }, {"\"dense_7\"", "none of"});
  }
}

TEST_CASE("a JSON configuration has no weights") {
  const testing::ScratchFolder folder;
  write_file_atomically(folder.path("m.json"), std::string_view(" {\"class_name\": \"x\"}"));
  const KerasFile file = read_keras_file(folder.path("m.json"));
  CHECK(file.layout == KerasLayout::none);
  CHECK(file.config_json == " {\"class_name\": \"x\"}");
  CHECK(match_weights({{"a", "Dense"}}, file).at(0).weights.empty());
}

TEST_CASE("what is no Keras file is refused by name and expectation") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("m");
  const auto refuse = [&](std::string_view content, std::initializer_list<std::string_view> parts) {
    write_file_atomically(path, content);
    expect_error([&] { read_keras_file(path); }, parts);
  };
  refuse("", {path, "empty", "expected a .keras archive"});
  refuse("hello", {path, "expected a .keras archive"});
  refuse("PK", {path, "not a zip archive"});
  refuse("\x89HDF\r\n\x1a\n", {path, "not an HDF5 file"});
  const auto hello = std::as_bytes(std::span("{}", 2));
  write_zip(path, {{"config.json", {hello}}}, false);
  expect_error([&] { read_keras_file(path); }, {path, "model.weights.h5"});
  write_zip(path, {{"config.json", {hello}}, {"model.weights.h5", {hello}}}, false);
  expect_error([&] { read_keras_file(path); }, {path, "model.weights.h5", "not an HDF5 file"});
  {
    Hdf5Builder h5(path);
  }
  expect_error([&] { read_keras_file(path); }, {path, "no Keras weights", "layer_names"});
}

TEST_CASE("every element type of HDF5 that Keras uses is read") {
  const testing::ScratchFolder folder;
  const std::string path = folder.path("m.h5");
  {
    Hdf5Builder h5(path);
    const hid_t f16 = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(f16, 15, 10, 5, 0, 10);
    H5Tset_size(f16, 2);
    H5Tset_ebias(f16, 15);
    h5.dataset("/a/f16", f16, {2}, {1.5f, -2});
    h5.dataset("/a/f32be", H5T_IEEE_F32BE, {2}, {1.5f, -2});
    h5.dataset("/a/f64", H5T_IEEE_F64LE, {2}, {1.5f, -2});
    h5.dataset("/a/i64", H5T_STD_I64LE, {2}, {1, -2});
    h5.dataset("/a/u8", H5T_STD_U8LE, {2}, {1, 2});
    h5.dataset("/a/empty", H5T_IEEE_F32LE, {0, 3}, {});
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk = 4;
    H5Pset_chunk(creation, 1, &chunk);
    H5Pset_deflate(creation, 9);
    h5.dataset("/a/deflated", H5T_IEEE_F32LE, {6}, {1, 2, 3, 4, 5, 6}, creation);
    H5Pclose(creation);
    H5Tclose(f16);
  }
  const auto mapped = MappedFile::open(path);
  const auto file = open_hdf5(mapped->bytes(), "f");
  Hdf5File& h5 = *file;
  CHECK(h5.read("/a/f16").dtype() == DType::f16);
  for (const char* name : {"/a/f16", "/a/f32be", "/a/f64"}) {
    CHECK(h5.read(name).at(0) == 1.5);
    CHECK(h5.read(name).at(1) == -2);
  }
  CHECK(h5.read("/a/i64").int_at(1) == -2);
  CHECK(h5.read("/a/u8").int_at(1) == 2);
  CHECK(h5.read("/a/empty").dims() == Dims{0, 3});
  CHECK(h5.read("/a/deflated").at(5) == 6);
}

// A file whose weight "/layers/dense/vars/0" or its surroundings are as `build` makes them.
void refuse_hdf5(const std::function<void(Hdf5Builder&)>& build,
                 std::initializer_list<std::string_view> parts, ErrorKind kind = ErrorKind::User) {
  const testing::ScratchFolder folder;
  {
    Hdf5Builder h5(folder.path("m.h5"));
    build(h5);
  }
  expect_error([&] { read_keras_file(folder.path("m.h5")); }, parts, kind);
}

TEST_CASE("HDF5 that claims more than it holds or points elsewhere is refused") {
  const std::string weight = "/layers/dense/vars/0";
  const hid_t f32 = H5T_IEEE_F32LE;
  refuse_hdf5([&](Hdf5Builder& h5) { h5.dataset(weight, f32, {1ull << 40}, {}); },
              {"m.h5", weight, "0 bytes are stored"});
  refuse_hdf5([&](Hdf5Builder& h5) { h5.dataset(weight, f32, {1ull << 40, 1ull << 40}, {}); },
              {"m.h5", weight});
  refuse_hdf5(
      [&](Hdf5Builder& h5) {
        const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
        const hsize_t chunk = 1000;
        H5Pset_chunk(creation, 1, &chunk);
        h5.dataset(weight, f32, {1'000'000'000}, {}, creation);
        H5Pclose(creation);
      },
      {weight, "cannot expand"});
  refuse_hdf5(
      [&](Hdf5Builder& h5) {
        const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_external(creation, "/etc/passwd", 0, 400);
        h5.dataset(weight, f32, {100}, {}, creation);
        H5Pclose(creation);
      },
      {weight, "another file"});
  refuse_hdf5([&](Hdf5Builder& h5) { h5.link_outside("/layers/dense"); },
              {"/layers/dense", "hard links"});
  refuse_hdf5(
      [&](Hdf5Builder& h5) {
        h5.group("/layers/a");
        h5.link_to("/layers", "/layers/a/loop");
      },
      {"nested deeper"});
  refuse_hdf5([&](Hdf5Builder& h5) { h5.dataset(weight, H5T_STD_B32LE, {0}, {}); },
              {weight, "element type"}, ErrorKind::Unsupported);
}

TEST_CASE("legacy lists that do not fit their file are refused") {
  refuse_hdf5([](Hdf5Builder& h5) { h5.strings("/", "layer_names", {"a"}); },
              {"\"a\"", "no such group"});
  refuse_hdf5(
      [](Hdf5Builder& h5) {
        h5.group("/a");
        h5.strings("/", "layer_names", {"a"});
      },
      {"\"/a\"", "weight_names"});
  refuse_hdf5(
      [](Hdf5Builder& h5) {
        h5.group("/a");
        h5.strings("/a", "weight_names", {"kernel:0"});
        h5.strings("/", "layer_names", {"a"});
      },
      {"\"kernel:0\"", "no such dataset"});
  refuse_hdf5(
      [](Hdf5Builder& h5) {
        h5.group("/a");
        h5.number("/", "layer_names", 3);
      },
      {"layer_names", "strings were expected"});
}

// Without the syncs of an atomic write, which would be all the time these tests take.
void write_plainly(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary) << content;
}

TEST_CASE("no truncation of a Keras file does harm") {
  const testing::ScratchFolder folder;
  build_legacy(folder.path("m.h5"), "/model_weights");
  const std::string whole = read_text_file(folder.path("m.h5"));
  const std::string path = folder.path("cut");
  for (size_t n = 0; n < whole.size(); n += n < 200 ? 7 : 53) {
    CAPTURE(n);
    write_plainly(path, std::string_view(whole).substr(0, n));
    CHECK_FALSE(accepts([&] { read_keras_file(path); }));
  }
}

TEST_CASE("no corruption of a Keras file does harm") {
  const testing::ScratchFolder folder;
  build_legacy(folder.path("legacy.h5"), "/model_weights");
  build_by_class(folder.path("class.h5"));
  const std::string path = folder.path("changed");
  for (const char* name : {"legacy.h5", "class.h5"}) {
    const std::string whole = read_text_file(folder.path(name));
    std::mt19937 random(11);
    for (int round = 0; round < 400; ++round) {
      std::string changed = whole;
      for (int i = 0; i < 1 + round % 8; ++i)
        changed[random() % changed.size()] = static_cast<char>(random() % 3 == 0 ? 255 : random());
      write_plainly(path, changed);
      accepts([&] { read_keras_file(path); });
    }
  }
}

}  // namespace
}  // namespace lathe
