// Ops of com.microsoft, a row of the table each, against their definitions.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "tests/support/onnx_node.h"

namespace lathe::onnx {
namespace {

using Row = std::vector<double>;

struct Case {
  std::string_view op;
  std::vector<Value> inputs;
  std::vector<Message> attributes;
  Row expected;
};

Row each(const std::vector<float>& x, const std::function<double(double)>& f) {
  Row out;
  for (const float v : x) out.push_back(f(v));
  return out;
}

double gelu(double x) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }
double approximate_gelu(double x) {
  return x / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

const std::vector<float> kX = {-3, -0.5, 0, 0.25, 1, 4};

std::vector<Case> cases() {
  const Value x = floats({2, 3}, kX), bias = floats({3}, {1, -1, 0.5});
  const auto biased = [](double (*f)(double)) {
    Row out;
    for (size_t i = 0; i < kX.size(); ++i)
      out.push_back(f(kX[i] + std::vector<double>{1, -1, 0.5}[i % 3]));
    return out;
  };
  // Rows of x + bias: mean, deviation, then gamma and beta.
  Row normalised;
  for (size_t r = 0; r < 2; ++r) {
    Row sum;
    for (size_t i = 0; i < 3; ++i)
      sum.push_back(kX[r * 3 + i] + std::vector<double>{1, -1, 0.5}[i]);
    const double mean = (sum[0] + sum[1] + sum[2]) / 3;
    double variance = 0;
    for (const double v : sum) variance += (v - mean) * (v - mean) / 3;
    for (size_t i = 0; i < 3; ++i)
      normalised.push_back((sum[i] - mean) / std::sqrt(variance + 1e-5) * 2 +
                           static_cast<double>(i));
  }
  return {
      {"BiasGelu", {x, bias}, {}, biased(gelu)},
      {"FastGelu", {x}, {}, each(kX, approximate_gelu)},
      {"FastGelu", {x, bias}, {}, biased(approximate_gelu)},
      {"FusedMatMul",
       {floats({2, 2}, {1, 2, 3, 4}), floats({3, 2}, {1, 0, 0, 1, 1, 1})},
       {int_attribute("transA", 1), int_attribute("transB", 1), float_attribute("alpha", 0.5F)},
       {0.5, 1.5, 2, 1, 2, 3}},
      {"Gelu", {x}, {}, each(kX, gelu)},
      {"QuickGelu",
       {x},
       {float_attribute("alpha", 1.5F)},
       each(kX, [](double v) { return v / (1 + std::exp(-1.5 * v)); })},
      {"SkipLayerNormalization",
       {x, floats({1, 3}, {1, -1, 0.5}), floats({3}, {2, 2, 2}), floats({3}, {0, 1, 2})},
       {float_attribute("epsilon", 1e-5F)},
       normalised},
  };
}

TEST_CASE("ops of com.microsoft are what ONNX Runtime's documents say") {
  for (const Case& c : cases()) {
    CAPTURE(c.op);
    const Tensor got =
        run_node(c.op, c.inputs, c.attributes, 1, 22, "com.microsoft")[0].known.numbers;
    REQUIRE(got.size() == std::ssize(c.expected));
    for (int64_t i = 0; i < got.size(); ++i)
      CHECK(got.at(i) == doctest::Approx(c.expected[static_cast<size_t>(i)]).epsilon(1e-5));
  }
}

}  // namespace
}  // namespace lathe::onnx
