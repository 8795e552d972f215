// TopK, Unique and NonMaxSuppression where the suites do not look.
#include <algorithm>
#include <limits>

#include "frontend/onnx/load.h"
#include "ir/eval.h"
#include "tests/support/onnx_node.h"
#include "tests/support/random.h"

namespace lathe::onnx {
namespace {

using Numbers = std::vector<double>;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST_CASE("TopK along any axis, with ties and NaN, of every number of elements") {
  const Value x = floats({2, 3, 2}, {1, 8, 5, 8, 5, kNan, 4, 0, 4, -1, 9, 0});
  const std::vector<Value> top =
      run_node("TopK", {x, longs({1}, {2})}, {int_attribute("axis", 1)}, 2);
  CHECK(top[0].dims() == Dims{2, 2, 2});
  CHECK(numbers(top[1]) == Numbers{1, 2, 2, 0, 2, 0, 0, 2});
  const std::vector<Value> least = run_node(
      "TopK", {x, longs({1}, {3})}, {int_attribute("axis", -2), int_attribute("largest", 0)}, 2);
  CHECK(numbers(least[1]) == Numbers{0, 0, 1, 1, 2, 2, 0, 1, 1, 0, 2, 2});
  const std::vector<Value> none = run_node("TopK", {x, longs({1}, {0})}, {}, 2);
  CHECK(none[0].dims() == Dims{2, 3, 0});
}

TEST_CASE("TopK of a number that the model says is part of the one graph") {
  GraphBuilder g;
  g.input("x", ElemType::Float, {4}).output("values").output("places", ElemType::Int64);
  g.initializer(tensor_message<int64_t>("k", ElemType::Int64, {1}, {2}));
  g.node(node_message("TopK", {"x", "k"}, {"values", "places"}));
  const Model m = load_graph(parse(model_message(g.m)), {}, false);
  const auto out = evaluate(m.graph, std::vector<Tensor>{Tensor::from<float>({4}, {1, 7, 3, 9})});
  CHECK(out[0].at(0) == 9);
  CHECK(out[1].int_at(1) == 1);
}

TEST_CASE("k is found by the run, each compiled once") {
  GraphBuilder g;
  g.input("x", ElemType::Float, {5}).input("k", ElemType::Int64, {1});
  g.output("values").output("places", ElemType::Int64);
  g.node(node_message("TopK", {"x", "k"}, {"values", "places"}));
  Session session(parse(model_message(g.m)), simd());
  const auto run = [&](int64_t k) {
    return numbers(session.run({{"x", floats({5}, {2, 9, 4, 7, 1})}, {"k", longs({1}, {k})}})[0]);
  };
  CHECK(run(2) == Numbers{9, 7});
  CHECK(run(3) == Numbers{9, 7, 4});
  const int64_t compiled = session.counts().compiled;
  CHECK(run(2) == Numbers{9, 7});
  CHECK(session.counts().compiled == compiled);
  CHECK(session.counts().host_steps == 0);
}

TEST_CASE("Unique compares rows element by element, and NaN is equal to NaN") {
  const Value rows = floats({5, 2}, {2, 1, 1, 3, 2, 1, 1, 2, 1, 3});
  const std::vector<Value> sorted = run_node("Unique", {rows}, {int_attribute("axis", 0)}, 4);
  CHECK(numbers(sorted[0]) == Numbers{1, 2, 1, 3, 2, 1});
  CHECK(numbers(sorted[1]) == Numbers{3, 1, 0});
  CHECK(numbers(sorted[2]) == Numbers{2, 1, 2, 0, 1});
  CHECK(numbers(sorted[3]) == Numbers{1, 2, 2});
  const std::vector<Value> given =
      run_node("Unique", {rows}, {int_attribute("axis", 0), int_attribute("sorted", 0)}, 4);
  CHECK(numbers(given[0]) == Numbers{2, 1, 1, 3, 1, 2});
  CHECK(numbers(given[2]) == Numbers{0, 1, 0, 2, 1});
  const std::vector<Value> list =
      run_node("Unique", {floats({6}, {kNan, 2, -0.f, kNan, 0, 2})}, {}, 4);
  CHECK(numbers(list[1]) == Numbers{2, 1, 0});
  CHECK(numbers(list[3]) == Numbers{2, 2, 2});
  const std::vector<Value> texts_in_rows = run_node(
      "Unique", {texts({3, 2}, {"b", "a", "a", "z", "b", "a"})}, {int_attribute("axis", 0)}, 4);
  CHECK(*texts_in_rows[0].known.strings == std::vector<std::string>{"a", "z", "b", "a"});
  CHECK(numbers(texts_in_rows[2]) == Numbers{1, 0, 1});
  const std::vector<Value> none = run_node("Unique", {floats({0}, {})}, {}, 4);
  CHECK(none[0].dims() == Dims{0});
}

// One box after the other, as the standard tells it.
Numbers suppressed(const Dims& dims, const std::vector<float>& boxes,
                   const std::vector<float>& scores, int64_t classes, int64_t most, float threshold,
                   float least) {
  const int64_t count = dims[1];
  Numbers out;
  for (int64_t lane = 0; lane < dims[0] * classes; ++lane) {
    const float* of = boxes.data() + lane / classes * count * 4;
    const auto score = [&](int64_t i) { return scores[static_cast<size_t>(lane * count + i)]; };
    std::vector<int64_t> order, kept;
    for (int64_t i = 0; i < count; ++i)
      if (score(i) > least) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return score(a) > score(b); });
    const auto area = [](const float* b) { return (b[2] - b[0]) * (b[3] - b[1]); };
    for (const int64_t i : order) {
      const float* a = of + 4 * i;
      const bool hidden = std::any_of(kept.begin(), kept.end(), [&](int64_t k) {
        const float* b = of + 4 * k;
        const float height = std::max(std::min(a[2], b[2]) - std::max(a[0], b[0]), 0.f);
        const float width = std::max(std::min(a[3], b[3]) - std::max(a[1], b[1]), 0.f);
        return height * width / (area(a) + area(b) - height * width) > threshold;
      });
      if (hidden || std::ssize(kept) == most) continue;
      kept.push_back(i);
      for (const int64_t v : {lane / classes, lane % classes, i})
        out.push_back(static_cast<double>(v));
    }
  }
  return out;
}

TEST_CASE("NonMaxSuppression of many boxes chooses what one box after the other does") {
  const Dims dims = {2, 90, 4};
  constexpr int64_t kClasses = 3;
  Random random(3);
  std::vector<float> boxes, scores;
  for (int64_t i = 0; i < dims[0] * dims[1]; ++i) {
    const double y = random.uniform(0, 8), x = random.uniform(0, 8);
    for (const double v : {y, x, y + random.uniform(0.5, 3), x + random.uniform(0.5, 3)})
      boxes.push_back(static_cast<float>(v));
  }
  for (int64_t i = 0; i < dims[0] * kClasses * dims[1]; ++i)
    scores.push_back(static_cast<float>(random.below(40)) / 40);
  for (const int64_t most : {1, 7, 1000})
    for (const float least : {0.f, 0.6f, 2.f}) {
      CAPTURE(most);
      CAPTURE(least);
      const Value out = run_node(
          "NonMaxSuppression", {floats(dims, boxes), floats({2, kClasses, 90}, scores),
                                longs({1}, {most}), floats({1}, {0.3f}), floats({1}, {least})})[0];
      CHECK(numbers(out) == suppressed(dims, boxes, scores, kClasses, most, 0.3f, least));
      CHECK(out.dims()[1] == 3);
    }
}

TEST_CASE("NonMaxSuppression without a number chooses none; its candidates are a power of two") {
  const Value boxes = floats({1, 3, 4}, {0, 0, 1, 1, 0, 5, 1, 6, 0, 9, 1, 10});
  const Value scores = floats({1, 1, 3}, {0.2f, 0.9f, 0.4f});
  CHECK(run_node("NonMaxSuppression", {boxes, scores})[0].dims() == Dims{0, 3});
  GraphBuilder g;
  g.input("boxes", ElemType::Float, {1, 3, 4}).input("scores", ElemType::Float, {1, 1, 3});
  g.initializer(tensor_message<int64_t>("most", ElemType::Int64, {1}, {3}));
  g.initializer(tensor_message<float>("iou", ElemType::Float, {1}, {0.5}));
  g.initializer(tensor_message<float>("least", ElemType::Float, {1}, {0.3}));
  g.output("chosen", ElemType::Int64);
  g.node(
      node_message("NonMaxSuppression", {"boxes", "scores", "most", "iou", "least"}, {"chosen"}));
  Session session(parse(model_message(g.m)), simd());
  const auto run = [&](const std::vector<float>& s) {
    return numbers(session.run({{"boxes", boxes}, {"scores", floats({1, 1, 3}, s)}})[0]);
  };
  CHECK(run({0.2f, 0.9f, 0.4f}) == Numbers{0, 0, 1, 0, 0, 2});
  const int64_t compiled = session.counts().compiled;
  CHECK(run({0.8f, 0.1f, 0.9f}) == Numbers{0, 0, 2, 0, 0, 0});
  CHECK(session.counts().compiled == compiled);
  CHECK(run({0, 0, 0}).empty());
}

}  // namespace
}  // namespace lathe::onnx
