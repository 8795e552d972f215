// ONNX ops against their definitions written as loops, where the conformance suite has few cases:
// Einsum, Det, TensorScatter, gradients, random numbers, attention with subgraphs.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <functional>
#include <map>
#include <set>

#include "tests/support/expect_error.h"
#include "tests/support/onnx_node.h"
#include "tests/support/random.h"

namespace lathe::onnx {
namespace {

constexpr std::string_view kTraining = "ai.onnx.preview.training";

// A model of one or more nodes on float inputs.
struct Bench {
  GraphBuilder g;
  std::vector<std::pair<std::string, Value>> inputs;
  int64_t opset = 26;

  Bench& give(const std::string& name, const Dims& dims, const std::vector<float>& v) {
    g.input(name, ElemType::Float, dims);
    inputs.emplace_back(name, Value::of(HostTensor(Tensor::from<float>(dims, v))));
    return *this;
  }
  Bench& give(const std::string& name, const std::vector<int64_t>& v) {
    g.input(name, ElemType::Int64, {std::ssize(v)});
    inputs.emplace_back(name, Value::of(HostTensor(Tensor::from<int64_t>({std::ssize(v)}, v))));
    return *this;
  }
  std::vector<Value> run(const std::vector<std::string>& outputs) {
    for (const std::string& name : outputs) g.output(name);
    Message m = model_message(g.m, opset);
    m.message(8, opset_message(1, kTraining)).message(8, opset_message(1, "ai.onnx.preview"));
    return Session(parse(m), simd()).run(inputs);
  }
};

std::vector<float> random_values(Random& random, int64_t n) {
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(static_cast<float>(random.uniform(-1, 1)));
  return out;
}

bool close(const std::vector<double>& a, const std::vector<double>& b, double tolerance = 1e-5) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i)
    if (!(std::abs(a[i] - b[i]) <= tolerance * std::max(1.0, std::abs(b[i])))) return false;
  return true;
}

// A product over all indices, each term's axes named by one letter each.
std::vector<double> einsum(const std::vector<std::string>& terms, const std::string& result,
                           const std::vector<Dims>& dims,
                           const std::vector<std::vector<float>>& values) {
  std::map<char, int64_t> extent;
  for (size_t t = 0; t < terms.size(); ++t)
    for (size_t i = 0; i < terms[t].size(); ++i) {
      int64_t& n = extent[terms[t][i]];
      n = std::max(n, dims[t][i]);
    }
  std::map<char, int64_t> at;
  std::string letters;
  for (const auto& [letter, n] : extent) letters += letter;
  int64_t size = 1;
  for (const char c : result) size *= extent[c];
  std::vector<double> out(static_cast<size_t>(size), 0);
  const std::function<void(size_t)> visit = [&](size_t depth) {
    if (depth < letters.size()) {
      for (int64_t i = 0; i < extent[letters[depth]]; ++i) {
        at[letters[depth]] = i;
        visit(depth + 1);
      }
      return;
    }
    double product = 1;
    for (size_t t = 0; t < terms.size(); ++t) {
      int64_t flat = 0;
      for (size_t i = 0; i < terms[t].size(); ++i)
        flat = flat * dims[t][i] + (dims[t][i] == 1 ? 0 : at[terms[t][i]]);
      product *= values[t][static_cast<size_t>(flat)];
    }
    int64_t flat = 0;
    for (const char c : result) flat = flat * extent[c] + at[c];
    out[static_cast<size_t>(flat)] += product;
  };
  visit(0);
  return out;
}

}  // namespace

TEST_CASE("Einsum is the sum of products that its equation says") {
  struct Row {
    std::string equation;
    std::vector<std::string> terms;  // without ellipses
    std::string result;
    std::vector<Dims> dims;
  };
  const Row rows[] = {
      {"ij,jk->ik", {"ij", "jk"}, "ik", {{3, 4}, {4, 5}}},
      {" ij , jk ", {"ij", "jk"}, "ik", {{3, 4}, {4, 5}}},
      {"bji,bjk->bki", {"bji", "bjk"}, "bki", {{2, 4, 3}, {2, 4, 5}}},
      {"i,i->", {"i", "i"}, "", {{6}, {6}}},
      {"ii->i", {"ii"}, "i", {{4, 4}}},
      {"ii", {"ii"}, "", {{4, 4}}},
      {"iijj->ji", {"iijj"}, "ji", {{3, 3, 2, 2}}},
      {"ba", {"ba"}, "ab", {{2, 3}}},
      {"ij->j", {"ij"}, "j", {{3, 4}}},
      {"i,j->ji", {"i", "j"}, "ji", {{3}, {4}}},
      {"ij,ij->ij", {"ij", "ij"}, "ij", {{3, 4}, {3, 4}}},
      {"ij,kj,k->i", {"ij", "kj", "k"}, "i", {{3, 4}, {5, 4}, {5}}},
      {"bhwc,hkc->bhwk", {"bhwc", "hkc"}, "bhwk", {{2, 3, 4, 5}, {3, 6, 5}}},
      {"ij,jk->ik", {"ij", "jk"}, "ik", {{3, 1}, {4, 5}}},
      {"...ij,...jk->...ik", {"eij", "ejk"}, "eik", {{2, 3, 4}, {2, 4, 5}}},
      {"...ij,...jk", {"deij", "ejk"}, "deik", {{2, 1, 3, 4}, {6, 4, 5}}},
      {"...i->...", {"dei"}, "de", {{2, 3, 4}}},
      {"...,...->...", {"de", "e"}, "de", {{2, 3}, {3}}},
      {"a...b->b...a", {"adb"}, "bda", {{2, 3, 4}}},
      {"B,Bb->b", {"B", "Bb"}, "b", {{3}, {3, 2}}},
  };
  Random random(3);
  for (const Row& r : rows) {
    CAPTURE(r.equation);
    Bench b;
    std::vector<std::vector<float>> values;
    std::vector<std::string> names;
    for (const Dims& d : r.dims) {
      values.push_back(random_values(random, element_count(d)));
      names.push_back(fmt::format("x{}", names.size()));
      b.give(names.back(), d, values.back());
    }
    b.g.node(node_message("Einsum", names, {"y"}, {text_attribute("equation", r.equation)}));
    CHECK(close(numbers(b.run({"y"})[0]), einsum(r.terms, r.result, r.dims, values)));
  }
  const auto refused = [](std::string_view equation, const std::string& reason) {
    Bench b;
    b.give("x", {2, 3}, {1, 2, 3, 4, 5, 6});
    b.g.node(node_message("Einsum", {"x"}, {"y"}, {text_attribute("equation", equation)}));
    expect_error([&] { b.run({"y"}); }, {"the_Einsum", reason});
  };
  refused("ijk->i", "names 3 axes");
  refused("ii->i", "have one letter");
  refused("ij->k", "the result's axes");
  refused("ij,j->i", "more terms");
  refused("i_->i", "is no list of axes");
}

TEST_CASE("Det pivots") {
  Bench b;
  // A zero first pivot, a singular matrix, and one of three factors.
  b.give("x", {3, 3, 3},
         {0, 2, 1, 1, 0, 3, 4, 1, 0, 1, 2, 3, 2, 4, 6, 1, 1, 1, 2, 0, 0, 5, 3, 0, 7, 8, -4});
  b.g.node(node_message("Det", {"x"}, {"y"}));
  CHECK(close(numbers(b.run({"y"})[0]), {25, 0, -24}));
}

TEST_CASE("TensorScatter writes from each batch's place on, around the end where it is circular") {
  const auto run = [](const std::string& mode, const std::vector<int64_t>& at) {
    Bench b;
    b.give("cache", {2, 3, 1}, {1, 2, 3, 4, 5, 6}).give("update", {2, 2, 1}, {10, 20, 30, 40});
    std::vector<std::string> names = {"cache", "update"};
    if (!at.empty()) b.give("at", at), names.emplace_back("at");
    b.g.node(node_message("TensorScatter", names, {"y"}, {text_attribute("mode", mode)}));
    return numbers(b.run({"y"})[0]);
  };
  CHECK(run("linear", {1, 0}) == std::vector<double>{1, 10, 20, 30, 40, 6});
  CHECK(run("circular", {2, 4}) == std::vector<double>{20, 2, 10, 4, 30, 40});
  CHECK(run("linear", {}) == std::vector<double>{10, 20, 3, 30, 40, 6});
}

TEST_CASE("Gradient differentiates by names, initializers of one value apart") {
  Bench b;
  b.give("x", {2}, {3, 5}).give("other", {2}, {7, 11});
  b.g.initializer(tensor_message<float>("v", ElemType::Float, {2}, {2, 2}));
  b.g.initializer(tensor_message<float>("w", ElemType::Float, {2}, {2, 2}));
  // y = v * v * w * x; the gradients come first in the file.
  b.g.node(node_message("Gradient", {"v", "w"}, {"dv", "dw"},
                        {texts_attribute("xs", {"v", "w"}), text_attribute("y", "y")}, kTraining));
  b.g.node(node_message(
      "Gradient", {"x", "other"}, {"dx"},
      {texts_attribute("xs", {"x"}), texts_attribute("zs", {"w"}), text_attribute("y", "y")},
      kTraining));
  b.g.node(node_message("Mul", {"v", "v"}, {"vv"}));
  b.g.node(node_message("Mul", {"vv", "w"}, {"vvw"}));
  b.g.node(node_message("Mul", {"vvw", "x"}, {"y"}));
  const std::vector<Value> out = b.run({"dv", "dw", "dx"});
  CHECK(numbers(out[0]) == std::vector<double>{24, 40});  // 2 v w x
  CHECK(numbers(out[1]) == std::vector<double>{12, 20});  // v v x
  CHECK(numbers(out[2]) == std::vector<double>{28, 44});  // v v w with another w
}

TEST_CASE("Gradient goes through subgraphs") {
  GraphBuilder then("then"), other("else");
  then.output("a").node(node_message("Mul", {"x", "x"}, {"a"}));
  other.output("b").node(node_message("Neg", {"x"}, {"b"}));
  Bench b;
  b.give("x", {2}, {3, 4}).give("n", {1});
  b.g.node(node_message("Cast", {"n"}, {"c"}, {int_attribute("to", 9)}));
  b.g.node(node_message(
      "If", {"c"}, {"y"},
      {graph_attribute("then_branch", then.m), graph_attribute("else_branch", other.m)}));
  b.g.node(node_message("Gradient", {"x"}, {"dx"},
                        {texts_attribute("xs", {"x"}), text_attribute("y", "y")}, kTraining));
  CHECK(numbers(b.run({"dx"})[0]) == std::vector<double>{6, 8});
}

TEST_CASE("FlexAttention passes scores and shares through its subgraphs") {
  GraphBuilder score("score"), prob("prob");
  score.input("s", ElemType::Float, {1, 1, 1, 2}).output("s2");
  score.node(node_message("Mul", {"s", "factor"}, {"s2"}));  // from around it
  prob.input("p", ElemType::Float, {1, 1, 1, 2}).output("p2");
  prob.node(node_message("Add", {"p", "p"}, {"p2"}));
  Bench b;
  b.give("q", {1, 1, 1, 1}, {1}).give("k", {1, 1, 2, 1}, {1, 2}).give("v", {1, 1, 2, 1}, {5, 7});
  b.give("factor", {}, {3});
  b.g.node(node_message("FlexAttention", {"q", "k", "v"}, {"y"},
                        {graph_attribute("score_mod", score.m), graph_attribute("prob_mod", prob.m),
                         float_attribute("scale", 0.5F)},
                        "ai.onnx.preview"));
  const double p = 1 / (1 + std::exp(-1.5));  // of the second key
  CHECK(close(numbers(b.run({"y"})[0]), {2 * (5 * (1 - p) + 7 * p)}));
}

TEST_CASE("random ops keep to their distributions and to their seeds") {
  const auto draw = [](const std::string& op, const std::vector<Message>& attributes,
                       const std::string& name = "y") {
    Bench b;
    b.g.node(node_message(op, {}, {name}, attributes));
    return numbers(b.run({name})[0]);
  };
  const auto moments = [](const std::vector<double>& v) {
    double mean = 0, square = 0;
    for (const double x : v) mean += x / static_cast<double>(v.size());
    for (const double x : v) square += (x - mean) * (x - mean) / static_cast<double>(v.size());
    return std::pair(mean, std::sqrt(square));
  };
  const Message shape = ints_attribute("shape", {200, 200});
  const auto uniform =
      draw("RandomUniform", {shape, float_attribute("low", -1), float_attribute("high", 3)});
  CHECK(*std::min_element(uniform.begin(), uniform.end()) >= -1);
  CHECK(*std::max_element(uniform.begin(), uniform.end()) <= 3);
  CHECK(moments(uniform).first == doctest::Approx(1).epsilon(0.02));
  CHECK(moments(uniform).second == doctest::Approx(4 / std::sqrt(12)).epsilon(0.02));
  const auto normal =
      draw("RandomNormal", {shape, float_attribute("mean", 2), float_attribute("scale", 3)});
  CHECK(moments(normal).first == doctest::Approx(2).epsilon(0.03));
  CHECK(moments(normal).second == doctest::Approx(3).epsilon(0.03));

  const Message few = ints_attribute("shape", {8});
  const Message seed = float_attribute("seed", 7);
  CHECK(draw("RandomNormal", {few}) == draw("RandomNormal", {few}));
  CHECK(draw("RandomNormal", {few}) != draw("RandomNormal", {few}, "other"));
  CHECK(draw("RandomNormal", {few, seed}) == draw("RandomNormal", {few, seed}, "other"));

  Bench b;
  b.give("p", {10000}, std::vector<float>(10000, 0.25F));
  b.give("x", {10000}, std::vector<float>(10000, 1));
  b.g.initializer(tensor_message<float>("ratio", ElemType::Float, {}, {0.25F}));
  b.g.initializer(tensor_message<uint8_t>("training", ElemType::Bool, {}, {1}));
  b.g.initializer(tensor_message<float>("logs", ElemType::Float, {1, 3},
                                        {std::log(1.0F), std::log(2.0F), std::log(5.0F)}));
  b.g.node(node_message("Bernoulli", {"p"}, {"ones"}));
  b.g.node(node_message("Dropout", {"x", "ratio", "training"}, {"kept", "mask"}));
  b.g.node(
      node_message("Multinomial", {"logs"}, {"classes"}, {int_attribute("sample_size", 8000)}));
  const std::vector<Value> out = b.run({"ones", "kept", "mask", "classes"});
  CHECK(moments(numbers(out[0])).first == doctest::Approx(0.25).epsilon(0.06));
  CHECK(moments(numbers(out[1])).first == doctest::Approx(1).epsilon(0.03));
  CHECK(moments(numbers(out[2])).first == doctest::Approx(0.75).epsilon(0.03));
  std::map<double, int> count;
  for (const double k : numbers(out[3])) ++count[k];
  CHECK(count.size() == 3);
  CHECK(count[0] == doctest::Approx(1000).epsilon(0.1));
  CHECK(count[2] == doctest::Approx(5000).epsilon(0.05));
}

}  // namespace lathe::onnx
