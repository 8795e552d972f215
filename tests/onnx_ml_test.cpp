// Operators of ai.onnx.ml, strings and spectra that the conformance suite has few or no cases of.
#include <doctest/doctest.h>

#include <cmath>
#include <complex>
#include <numbers>

#include "tests/support/expect_error.h"
#include "tests/support/onnx_node.h"
#include "tests/support/random.h"

namespace lathe::onnx {
namespace {

constexpr std::string_view kMl = "ai.onnx.ml";

std::vector<Value> run_ml(std::string_view op, const std::vector<Value>& inputs,
                          const std::vector<Message>& attributes, int outputs = 1) {
  return run_node(op, inputs, attributes, outputs, 22, kMl);
}

void check_numbers(const Value& got, const Dims& dims, const std::vector<double>& wanted) {
  REQUIRE(got.dims() == dims);
  const std::vector<double> v = numbers(got);
  REQUIRE(v.size() == wanted.size());
  for (size_t i = 0; i < v.size(); ++i) {
    INFO("element ", i);
    CHECK(v[i] == doctest::Approx(wanted[i]).epsilon(1e-4));
  }
}

void check_texts(const Value& got, const std::vector<std::string>& wanted) {
  REQUIRE(got.is_string());
  CHECK(*got.known.strings == wanted);
}

TEST_CASE("features are scaled, normalised, imputed and put side by side") {
  const Value x = floats({2, 2}, {3, -4, 0, 2});
  check_numbers(run_ml("Scaler", {x},
                       {floats_attribute("offset", {1, 2}), floats_attribute("scale", {2})})[0],
                {2, 2}, {4, -12, -2, 0});
  check_numbers(run_ml("Normalizer", {x}, {text_attribute("norm", "L1")})[0], {2, 2},
                {3.0 / 7, -4.0 / 7, 0, 1});
  check_numbers(run_ml("Normalizer", {x}, {text_attribute("norm", "L2")})[0], {2, 2},
                {0.6, -0.8, 0, 1});
  check_numbers(run_ml("Normalizer", {x}, {text_attribute("norm", "MAX")})[0], {2, 2},
                {1, -4.0 / 3, 0, 1});
  check_numbers(run_ml("Imputer", {floats({1, 3}, {1, NAN, NAN})},
                       {floats_attribute("imputed_value_floats", {7, 8, 9}),
                        float_attribute("replaced_value_float", NAN)})[0],
                {1, 3}, {1, 8, 9});
  check_numbers(run_ml("FeatureVectorizer", {x, longs({2, 1}, {5, 6})},
                       {ints_attribute("inputdimensions", {1, 1})})[0],
                {2, 2}, {3, 5, 0, 6});
}

TEST_CASE("categories become numbers, texts and ones") {
  const auto ints = ints_attribute("cats_int64s", {4, 7});
  const auto names = texts_attribute("cats_strings", {"four", "seven"});
  check_texts(run_ml("CategoryMapper", {longs({3}, {7, 1, 4})}, {ints, names})[0],
              {"seven", "_Unused", "four"});
  check_numbers(run_ml("CategoryMapper", {texts({2}, {"four", "x"})}, {ints, names})[0], {2},
                {4, -1});
  check_numbers(run_ml("OneHotEncoder", {longs({2}, {7, 5})}, {ints})[0], {2, 2}, {0, 1, 0, 0});
  check_numbers(run_ml("OneHotEncoder", {texts({1, 1}, {"four"})}, {names})[0], {1, 1, 2}, {1, 0});
  expect_error(
      [&] { run_ml("OneHotEncoder", {longs({1}, {5})}, {ints, int_attribute("zeros", 0)}); },
      {"element 0", "2 categories"});
  check_numbers(
      run_ml("LabelEncoder", {floats({3}, {NAN, 1.5F, 2})},
             {floats_attribute("keys_floats", {1.5F, NAN}),
              ints_attribute("values_int64s", {10, 20}), int_attribute("default_int64", 3)})[0],
      {3}, {20, 10, 3});
}

TEST_CASE("a linear classifier and regressor") {
  const Value x = floats({2, 2}, {1, 2, 3, -1});
  check_numbers(run_ml("LinearRegressor", {x},
                       {floats_attribute("coefficients", {1, 1, 2, 0}), int_attribute("targets", 2),
                        floats_attribute("intercepts", {0.5F, -1})})[0],
                {2, 2}, {3.5, 1, 2.5, 5});
  const auto y =
      run_ml("LinearClassifier", {x},
             {floats_attribute("coefficients", {1, -1}), floats_attribute("intercepts", {0}),
              texts_attribute("classlabels_strings", {"no", "yes"}),
              text_attribute("post_transform", "LOGISTIC")},
             2);
  check_texts(y[0], {"no", "yes"});
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  check_numbers(y[1], {2, 2}, {sigmoid(1), sigmoid(-1), sigmoid(-4), sigmoid(4)});
}

TEST_CASE("support vectors of one class and of three") {
  const Value x = floats({2, 1}, {1, -2});
  check_numbers(
      run_ml(
          "SVMRegressor", {x},
          {text_attribute("kernel_type", "RBF"), floats_attribute("kernel_params", {0.5F, 0, 0}),
           floats_attribute("support_vectors", {1, 0}), floats_attribute("coefficients", {2, -1}),
           floats_attribute("rho", {0.25F}), int_attribute("n_supports", 2)})[0],
      {2, 1}, {2 - std::exp(-0.5) + 0.25, 2 * std::exp(-4.5) - std::exp(-2) + 0.25});
  // One vector for each of three classes, so that the scores can be read off: with a linear kernel
  // the kernel of vector v is v x.
  const auto y =
      run_ml("SVMClassifier", {x},
             {floats_attribute("support_vectors", {1, 2, 3}),
              ints_attribute("vectors_per_class", {1, 1, 1}),
              floats_attribute("coefficients", {1, -1, -2, 3, 1, -1}),
              floats_attribute("rho", {0, 0, 0}), ints_attribute("classlabels_ints", {10, 20, 30})},
             2);
  check_numbers(y[1], {2, 3}, {1 * 1 - 1 * 2, 3 * 1 - 2 * 3, 1 * 2 - 1 * 3, 2, 6, 2});
  check_numbers(y[0], {2}, {30, 10});
}

// x0 <= 1 ? 10 : (x1 > 0 ? 20 : 30), and another tree that is a leaf of 1.
const std::vector<Message> kTrees = {
    ints_attribute("nodes_treeids", {0, 0, 0, 0, 0, 1}),
    ints_attribute("nodes_nodeids", {0, 1, 2, 3, 4, 0}),
    ints_attribute("nodes_featureids", {0, 0, 1, 0, 0, 0}),
    ints_attribute("nodes_truenodeids", {1, 0, 3, 0, 0, 0}),
    ints_attribute("nodes_falsenodeids", {2, 0, 4, 0, 0, 0}),
    floats_attribute("nodes_values", {1, 0, 0, 0, 0, 0}),
    texts_attribute("nodes_modes", {"BRANCH_LEQ", "LEAF", "BRANCH_GT", "LEAF", "LEAF", "LEAF"})};

TEST_CASE("trees of the old form, as a regressor and as a classifier") {
  const Value x = floats({4, 2}, {1, 0, 2, 1, 2, 0, NAN, -1});
  for (const auto& [how, wanted] :
       {std::pair<std::string, std::vector<double>>{"SUM", {13, 23, 33, 33}},
        {"AVERAGE", {7.5, 12.5, 17.5, 17.5}},
        {"MIN", {3, 3, 3, 3}},
        {"MAX", {12, 22, 32, 32}}}) {
    CAPTURE(how);
    std::vector<Message> attributes = kTrees;
    for (const Message& m :
         {ints_attribute("target_treeids", {0, 0, 0, 1}),
          ints_attribute("target_nodeids", {1, 3, 4, 0}),
          ints_attribute("target_ids", {0, 0, 0, 0}),
          floats_attribute("target_weights", {10, 20, 30, 1}), int_attribute("n_targets", 1),
          text_attribute("aggregate_function", how), floats_attribute("base_values", {2})})
      attributes.push_back(m);
    check_numbers(run_ml("TreeEnsembleRegressor", {x}, attributes)[0], {4, 1}, wanted);
  }
  std::vector<Message> attributes = kTrees;
  for (const Message& m :
       {ints_attribute("class_treeids", {0, 0, 0, 1}),
        ints_attribute("class_nodeids", {1, 3, 4, 0}), ints_attribute("class_ids", {0, 1, 2, 1}),
        floats_attribute("class_weights", {10, 20, 30, 1}),
        texts_attribute("classlabels_strings", {"a", "b", "c"})})
    attributes.push_back(m);
  const auto y = run_ml("TreeEnsembleClassifier", {x}, attributes, 2);
  check_texts(y[0], {"a", "b", "c", "c"});
  check_numbers(y[1], {4, 3}, {10, 1, 0, 0, 21, 0, 0, 1, 30, 0, 1, 30});
}

TEST_CASE("a tree whose nodes form a circle is refused") {
  std::vector<Message> attributes = kTrees;
  attributes[3] = ints_attribute("nodes_truenodeids", {2, 0, 0, 0, 0, 0});
  attributes[4] = ints_attribute("nodes_falsenodeids", {2, 0, 0, 0, 0, 0});
  attributes.push_back(int_attribute("n_targets", 1));
  expect_error([&] { run_ml("TreeEnsembleRegressor", {floats({1, 2}, {0, 0})}, attributes); },
               {"circle"});
}

TEST_CASE("rows become maps and maps become rows") {
  GraphBuilder g;
  g.input("x", ElemType::Float, {2, 2}).output("z");
  g.node(node_message("ZipMap", {"x"}, {"maps"},
                      {texts_attribute("classlabels_strings", {"a", "b"})}, kMl));
  g.initializer(tensor_message<int64_t>("one", ElemType::Int64, {}, {1}));
  g.node(node_message("SequenceAt", {"maps", "one"}, {"map"}));
  g.node(node_message("DictVectorizer", {"map"}, {"z"},
                      {texts_attribute("string_vocabulary", {"b", "c", "a"})}, kMl));
  Message model = model_message(g.m, 22);
  model.message(8, opset_message(5, kMl));
  Session session(parse(model), simd());
  check_numbers(session.run({{"x", floats({2, 2}, {1, 2, 3, 4})}})[0], {1, 3}, {4, 0, 3});
}

TEST_CASE("texts are split as Python splits them") {
  const auto y = run_node("StringSplit", {texts({2}, {" a\u3000b  c ", ""})},
                          {int_attribute("maxsplit", 1)}, 2);
  check_texts(y[0], {"a", "b  c ", "", ""});
  check_numbers(y[1], {2}, {2, 0});
  const auto z =
      run_node("StringSplit", {texts({2}, {"a--b", ""})}, {text_attribute("delimiter", "-")}, 2);
  check_texts(z[0], {"a", "", "b", "", "", ""});
  check_numbers(z[1], {2}, {3, 1});
}

TEST_CASE("grams are counted at every distance, single words once") {
  const auto y = run_node(
      "TfIdfVectorizer", {texts({4}, {"a", "b", "a", "b"})},
      {text_attribute("mode", "TFIDF"), int_attribute("min_gram_length", 1),
       int_attribute("max_gram_length", 2), int_attribute("max_skip_count", 2'000'000'000),
       ints_attribute("ngram_counts", {0, 2}), ints_attribute("ngram_indexes", {0, 1, 2, 3}),
       floats_attribute("weights", {1, 1, 1, 0.5F}),
       texts_attribute("pool_strings", {"a", "b", "a", "b", "b", "b"})});
  // "a b" one apart: twice; three apart: once. "b b" two apart: once.
  check_numbers(y[0], {4}, {2, 2, 3, 0.5});
}

TEST_CASE("a broken pattern is refused") {
  expect_error(
      [] { run_node("RegexFullMatch", {texts({1}, {"a"})}, {text_attribute("pattern", "(")}); },
      {"RegexFullMatch", "'('"});
}

// The transform of a length that is a matrix, of one that goes in steps, and of a prime.
TEST_CASE("a discrete Fourier transform of any length is the sum it is defined as") {
  for (const int64_t n : {6, 360, 1024, 257}) {
    CAPTURE(n);
    Random random(static_cast<uint64_t>(n));
    std::vector<float> x;
    for (int64_t i = 0; i < 2 * n; ++i) x.push_back(static_cast<float>(random.uniform(-1, 1)));
    std::vector<std::complex<double>> wanted(static_cast<size_t>(n));
    for (int64_t k = 0; k < n; ++k)
      for (int64_t i = 0; i < n; ++i)
        wanted[static_cast<size_t>(k)] +=
            std::complex<double>(static_cast<double>(x[static_cast<size_t>(2 * i)]),
                                 static_cast<double>(x[static_cast<size_t>(2 * i + 1)])) *
            std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(i * k % n) /
                                static_cast<double>(n));
    const Value signal = floats({1, n, 2}, x);
    const auto spectrum = run_node("DFT", {signal})[0];
    const std::vector<double> got = numbers(spectrum);
    for (size_t k = 0; k < wanted.size(); ++k) {
      CHECK(std::abs(got[2 * k] - wanted[k].real()) < 1e-3);
      CHECK(std::abs(got[2 * k + 1] - wanted[k].imag()) < 1e-3);
    }
    const std::vector<double> back =
        numbers(run_node("DFT", {spectrum}, {int_attribute("inverse", 1)})[0]);
    for (size_t i = 0; i < x.size(); ++i)
      CHECK(std::abs(back[i] - static_cast<double>(x[i])) < 1e-4);
  }
}

TEST_CASE("half a spectrum gives back a real signal, of even and of odd length") {
  for (const int64_t n : {8, 9}) {
    CAPTURE(n);
    std::vector<float> x;
    for (int64_t i = 0; i < n; ++i) x.push_back(static_cast<float>(i * i % 7));
    const auto half = run_node("DFT", {floats({1, n, 1}, x)}, {int_attribute("onesided", 1)})[0];
    CHECK(half.dims() == Dims{1, n / 2 + 1, 2});
    const auto back = run_node("DFT", {half, longs({}, {n})},
                               {int_attribute("onesided", 1), int_attribute("inverse", 1)})[0];
    check_numbers(back, {1, n, 1}, {x.begin(), x.end()});
  }
}

}  // namespace
}  // namespace lathe::onnx
