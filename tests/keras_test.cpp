// Keras models of the wild against outputs computed independently in float64, and configurations
// in every dialect, good and bad.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>

#include "frontend/keras/load.h"
#include "ir/eval.h"
#include "passes/rebuild.h"
#include "runtime/files.h"
#include "runtime/npy.h"
#include "tests/support/expect_error.h"
#include "tests/support/paths.h"
#include "tests/support/scratch.h"

namespace lathe {
namespace {

// The first `rows` rows.
Tensor head(const Tensor& t, int64_t rows) {
  Dims dims = t.dims();
  dims[0] = std::min(rows, dims[0]);
  Tensor out = Tensor::empty(t.dtype(), dims);
  for (int64_t i = 0; i < out.size(); ++i)
    if (is_float(t.dtype())) out.set(i, t.at(i));
    else out.set_int(i, t.int_at(i));
  return out;
}

// Evaluates a frozen graph of one input whose batch is free.
Tensor predict(const Model& model, const Tensor& x) {
  const Graph bound = bind_dims(freeze(model), {{"batch", x.dims()[0]}});
  return evaluate(bound, std::vector<Tensor>{x})[0];
}

double greatest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.dims() == b.dims());
  double worst = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a.at(i) - b.at(i));
    if (std::isnan(difference)) return difference;
    worst = std::max(worst, difference);
  }
  return worst;
}

void check_shared_model(const std::string& folder, const std::string& file, int64_t rows) {
  const std::string base = testing::shared_path("keras/" + folder);
  if (!std::filesystem::exists(base)) {
    MESSAGE("skipped: " << base << " is not there");
    return;
  }
  const Model model = load_keras(base + "/" + file, nn::Mode::Inference);
  const Tensor x = head(read_npy(base + "/test_data_set_0/input_0.npy"), rows);
  const Tensor want = head(read_npy(base + "/test_data_set_0/output_0.npy"), rows);
  const double difference = greatest_difference(predict(model, x), want);
  CAPTURE(difference);
  CHECK(difference < 1e-5);
}

TEST_CASE("the stacked LSTM regressor predicts as Keras does") {
  check_shared_model("stacked-lstm-v3__lstm_model", "model.keras", 4);
}
TEST_CASE("the IMDB LSTM classifier predicts as Keras does") {
  check_shared_model("imdb-lstm-v3__imdb_sentiment_model", "model.keras", 1);
}
TEST_CASE("the IMDB max-pooling classifier predicts as Keras does") {
  check_shared_model("imdb-maxpool-h5__sentiment_model", "model.h5", 64);
}
TEST_CASE("the functional ResNet predicts as Keras does") {
  check_shared_model("mlperf-tiny__pretrainedResnet", "model.h5", 2);
}

std::string reviews_json() {
  return read_text_file(testing::source_path("examples/reviews/model.json"));
}

TEST_CASE("the reviews example has free batch and length, and Keras' parameters") {
  const Model m = build_keras(reviews_json(), "model.json", nn::Mode::Training, 1);
  REQUIRE(m.graph.inputs().size() == 10);
  CHECK(m.graph.inputs()[0].name == "tokens");
  CHECK(m.graph.inputs()[0].type.text() == "i32[batch,length]");
  CHECK(m.weights.at("embedding/embeddings").dims() == Dims{10000, 128});
  CHECK(m.weights.at("lstm/kernel").dims() == Dims{128, 512});
  CHECK(m.weights.at("lstm_1/recurrent_kernel").dims() == Dims{64, 256});
  CHECK(m.weights.at("lstm_1/bias").at(64) == 1);
  CHECK(m.graph.outputs()[0].name == "dense");
  CHECK(m.graph.type(m.graph.outputs()[0].value).text() == "f32[batch,1]");
  const auto training = parse_keras_training(reviews_json(), "model.json");
  REQUIRE(training);
  CHECK(training->optimizer.name == "adam");
  CHECK(training->objective.name == "binary_crossentropy");
  CHECK(training->learning_rate == 0.001);
}

constexpr const char* kTiny =
    R"({"class_name":"Sequential","config":{"name":"m","layers":[)"
    R"({"class_name":"Dense","config":{"name":"d","batch_input_shape":[null,2],"units":2}},)"
    R"({"class_name":"LAYER","config":{"name":"l",OPTIONS}}]}})";

std::string with_layer(const std::string& class_name, const std::string& options) {
  std::string text = kTiny;
  text.replace(text.find("LAYER"), 5, class_name);
  text.replace(text.find("OPTIONS"), 7, options);
  return text;
}

TEST_CASE("what cannot be built is refused with file, layer and option") {
  const auto build = [](const std::string& json, nn::Mode mode = nn::Mode::Inference) {
    return [=] { build_keras(json, "bad.json", mode); };
  };
  using enum ErrorKind;
  expect_error(build(with_layer("Attention", R"("k":1)")), {"bad.json", "\"l\"", "Attention"},
               Unsupported);
  expect_error(build(with_layer("LSTM", R"("units":3,"stateful":true)")),
               {"bad.json", "\"l\" (LSTM)", "stateful"}, Unsupported);
  expect_error(build(with_layer("GRU", R"("units":3,"recurrent_dropout":0.5)")),
               {"recurrent_dropout", "0.5"}, Unsupported);
  expect_error(build(with_layer("Dense", R"("units":3,"novelty":7)")), {"novelty", "7"},
               Unsupported);
  expect_error(build(with_layer("Dense", R"("units":3,"activation":"cubic")")), {"cubic"},
               Unsupported);
  expect_error(build(with_layer("Dense", R"("units":"3")")), {"bad.json", "units", "an integer"});
  expect_error(build(with_layer("Dense", R"("units":-3)")), {"bad.json", "\'l\'", "positive"});
  expect_error(build(with_layer("Dense", R"("units":123456789012345)")),
               {"bad.json", "'l'", "more than"});
  expect_error(build(with_layer("GRU", R"("units":4611686018427387904)")), {"bad.json", "'l'"});
  expect_error(build(with_layer("Dense", R"("use_bias":true)")), {"'units' is missing"});
  expect_error(build(with_layer("LSTM", R"("units":3)")), {"bad.json", "[batch, time, features]"});
  expect_error(build(with_layer("Dense", R"("units":3,"kernel_regularizer":{"class_name":"L2"})"),
                     nn::Mode::Training),
               {"kernel_regularizer", "training"}, Unsupported);
  CHECK(
      accepts(build(with_layer("Dense", R"("units":3,"kernel_regularizer":{"class_name":"L2"})"))));
  expect_error(build("{}"), {"bad.json", "class_name"});
  expect_error(build(R"({"class_name":"Sequential","config":{"layers":[]}})"), {"no layers"});
  expect_error(build(R"({"class_name":"Sequential","config":{"layers":[{"class_name":"Dense",)"
                     R"("config":{"name":"d","units":1}}]}})"),
               {"no input shape"});
}

// x -> a, b; Add(a, b) -> softmax, with each dialect's inbound nodes.
std::string functional(bool keras_3) {
  const auto tensor = [](const std::string& layer) {
    return R"({"class_name":"__keras_tensor__","config":{"shape":[null,3],"dtype":"float32",)"
           R"("keras_history":[")" +
           layer + R"(",0,0]}})";
  };
  const auto node = [&](const std::vector<std::string>& from) {
    std::string list;
    for (const std::string& f : from) {
      if (!list.empty()) list += ",";
      list += keras_3 ? tensor(f) : "[\"" + f + "\",0,0,{}]";
    }
    if (!keras_3) return "[[" + list + "]]";
    return R"([{"args":[)" + (from.size() > 1 ? "[" + list + "]" : list) + R"(],"kwargs":{}}])";
  };
  const auto layer = [](const std::string& kind, const std::string& name, const std::string& rest,
                        const std::string& nodes) {
    return R"({"class_name":")" + kind + R"(","name":")" + name + R"(","config":{"name":")" + name +
           R"(")" + rest + R"(},"inbound_nodes":)" + nodes + "}";
  };
  const std::string shape =
      keras_3 ? R"(,"batch_shape":[null,3])" : R"(,"batch_input_shape":[null,3])";
  return std::string(keras_3 ? R"({"module":"keras",)" : "{") +
         R"("class_name":"Functional","config":{"name":"f","layers":[)" +
         layer("Add", "sum", "", node({"a", "b"})) + "," + layer("InputLayer", "x", shape, "[]") +
         "," + layer("Dense", "a", R"(,"units":3)", node({"x"})) + "," +
         layer("Dense", "b", R"(,"units":3,"kernel_initializer":"ones")", node({"x"})) + "," +
         layer("Activation", "p", R"(,"activation":"softmax")", node({"sum"})) +
         R"(],"input_layers":[["x",0,0]],"output_layers":)" +
         (keras_3 ? R"(["p",0,0])" : R"([["p",0,0]])") + "}}";
}

TEST_CASE("functional models read alike in the dialects of Keras 2 and 3, in any order of layers") {
  const Model two = build_keras(functional(false), "two.json", nn::Mode::Inference, 3);
  const Model three = build_keras(functional(true), "three.json", nn::Mode::Inference, 3);
  CHECK(same_graph(two.graph, three.graph));
  const Tensor x = Tensor::from<float>({2, 3}, {1, 2, 3, -1, 0, 0.5});
  const Tensor p = predict(two, x);
  CHECK(identical(p, predict(three, x)));
  CHECK(p.at(0) + p.at(1) + p.at(2) == doctest::Approx(1));
}

TEST_CASE("a bidirectional layer runs both ways and keeps its sequence in order") {
  const std::string inner = R"({"class_name":"LSTM","config":{"name":"i","units":2,)"
                            R"("return_sequences":true,"trainable":true}})";
  const std::string json =
      R"({"class_name":"Sequential","config":{"name":"m","layers":[{"class_name":"Bidirectional",)"
      R"("config":{"name":"b","batch_input_shape":[null,3,1],"merge_mode":"concat","layer":)" +
      inner + "}}]}}";
  Model m = build_keras(json, "bi.json", nn::Mode::Inference);
  for (const char* name : {"kernel", "recurrent_kernel", "bias"})
    m.weights.set(std::string("b/backward/") + name,
                  m.weights.at(std::string("b/forward/") + name));
  const Tensor there = predict(m, Tensor::from<float>({1, 3, 1}, {1, 2, 3}));
  const Tensor back = predict(m, Tensor::from<float>({1, 3, 1}, {3, 2, 1}));
  REQUIRE(there.dims() == Dims{1, 3, 4});
  for (int64_t t = 0; t < 3; ++t)
    for (int64_t u = 0; u < 2; ++u) CHECK(there.at(t * 4 + u) == back.at((2 - t) * 4 + 2 + u));
}

TEST_CASE("a mask that Keras 3 wrote as an operator reaches the layer that it is given to") {
  const auto tensor = [](const std::string& name) {
    return R"({"class_name":"__keras_tensor__","config":{"keras_history":[")" + name +
           R"(",0,0]}})";
  };
  const auto model = [&](const std::string& keywords) {
    return R"({"module":"keras","class_name":"Functional","config":{"layers":[)"
           R"({"class_name":"InputLayer","config":{"name":"x","batch_shape":[null,null]},)"
           R"("inbound_nodes":[]},)"
           R"({"class_name":"Embedding","config":{"name":"e","input_dim":4,"output_dim":2,)"
           R"("mask_zero":true},"inbound_nodes":[{"args":[)" +
           tensor("x") +
           R"(],"kwargs":{}}]},)"
           R"({"class_name":"NotEqual","config":{"name":"n"},"inbound_nodes":[{"args":[)" +
           tensor("x") +
           R"(,0],"kwargs":{}}]},)"
           R"({"class_name":"GRU","config":{"name":"g","units":2},"inbound_nodes":[{"args":[)" +
           tensor("e") + R"(],"kwargs":{"training":false)" + keywords +
           R"(}}]}],"input_layers":["x",0,0],"output_layers":["g",0,0]}})";
  };
  const Model implied = build_keras(model(""), "m.json", nn::Mode::Inference);
  const Model given =
      build_keras(model(R"(,"mask":)" + tensor("n")), "m.json", nn::Mode::Inference);
  CHECK(same_graph(implied.graph, given.graph));
  const auto last = [&](std::vector<int32_t> tokens) {
    const auto n = std::ssize(tokens);
    const Graph g = bind_dims(freeze(given), {{"batch", 1}, {"length", n}});
    return evaluate(g, std::vector<Tensor>{Tensor::from<int32_t>({1, n}, tokens)})[0];
  };
  CHECK(identical(last({0, 0, 3, 1}), last({3, 0, 1})));
  CHECK_FALSE(identical(last({3, 1}), last({1, 3})));
  expect_error(
      [&] {
        build_keras(model(R"(,"initial_state":)" + tensor("e")), "m.json", nn::Mode::Inference);
      },
      {"m.json", "\"g\"", "initial_state"}, ErrorKind::Unsupported);
}

TEST_CASE("a functional model that reads what is not there is refused") {
  std::string json = functional(true);
  const size_t at = json.find("\"keras_history\":[\"sum\"");
  json.replace(at, std::string_view("\"keras_history\":[\"sum\"").size(),
               "\"keras_history\":[\"p\"");
  expect_error([&] { build_keras(json, "loop.json", nn::Mode::Inference); },
               {"loop.json", "\"p\"", "depends on itself"});
}

TEST_CASE("a configuration cut at any place, or with any byte changed, is refused or read") {
  const std::string texts[] = {reviews_json(), functional(false), functional(true)};
  for (const std::string& text : texts) {
    const std::string whole = text.substr(0, text.find_last_of('}') + 1);
    for (size_t n = 0; n < whole.size(); ++n)
      CHECK_FALSE(accepts([&] { parse_keras_training(whole.substr(0, n), "cut.json"); }));
    for (size_t n = 0; n < whole.size(); n += 3) {
      std::string changed = whole;
      changed[n] = "0\"[]{}-x,"[n % 9];
      // The first is large: building it takes long.
      if (&text == texts) accepts([&] { parse_keras_training(changed, "c.json"); });
      else accepts([&] { build_keras(changed, "c.json", nn::Mode::Inference); });
    }
  }
}

TEST_CASE("a model costs no initial values that nobody reads") {
  // Making this recurrent kernel orthogonal would take 2 * 10^13 operations.
  const std::string json =
      R"({"class_name":"Sequential","config":{"name":"m","layers":[{"class_name":"LSTM",)"
      R"("config":{"name":"l","units":10000,"batch_input_shape":[null,3,1]}}]}})";
  const Model m = build_keras(json, "m.json", nn::Mode::Inference);
  CHECK(m.weights.contains("l/recurrent_kernel"));
  const Tensor& bias = m.weights.at("l/bias");
  CHECK(bias.dims() == Dims{40000});
  CHECK(bias.at(10000) == 1);
}

TEST_CASE("weights of another shape or missing are refused by name") {
  Model m = build_keras(with_layer("Dense", R"("units":3)"), "m.json", nn::Mode::Inference);
  const testing::ScratchFolder folder;
  save_weights(m, folder.path("w.safetensors"));
  Model other = build_keras(with_layer("Dense", R"("units":3)"), "m.json", nn::Mode::Inference, 9);
  CHECK_FALSE(identical(m.weights.at("l/kernel"), other.weights.at("l/kernel")));
  load_weights(other, folder.path("w.safetensors"));
  CHECK(identical(m.weights.at("l/kernel"), other.weights.at("l/kernel")));
  Model wide = build_keras(with_layer("Dense", R"("units":4)"), "m.json", nn::Mode::Inference);
  expect_error([&] { load_weights(wide, folder.path("w.safetensors")); },
               {"w.safetensors", "l/", "4]", "3]"});
  m.weights.erase("l/bias");
  expect_error([&] { freeze(m); }, {"l/bias", "missing", "f32[3]"});
}

}  // namespace
}  // namespace lathe
