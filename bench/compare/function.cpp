// The main program of every function_<engine>:
//
//   function_<engine> THREADS SECONDS
//
// checks each function, measures it for SECONDS and prints one line of JSON. THREADS is 1.
#include "bench/compare/function.h"

#include <fmt/core.h>

#include <array>
#include <cmath>
#include <cstdlib>

#include "bench/compare/measure.h"

namespace lathe::compare {
namespace {

constexpr int64_t kSize = 2048;      // with the result half of 32 KB of L1
constexpr double kTolerance = 4e-7;  // of |y - f(x)| / (1 + |f(x)|): a few units in the last place

struct Reference {
  const char* name;
  double (*value)(double);
};

constexpr std::array kFunctions = {
    Reference{"exp", [](double x) { return std::exp(x); }},
    Reference{"tanh", [](double x) { return std::tanh(x); }},
    Reference{"sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }},
    Reference{"erf", [](double x) { return std::erf(x); }},
    Reference{"gelu", [](double x) { return x * (1 + std::erf(x / std::sqrt(2.0))) / 2; }}};

bool measure(const Reference& reference, double budget) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> range(-6, 6);
  Floats x(kSize), y(kSize, std::nanf(""));
  for (float& v : x) v = range(random);
  const auto call = prepare_function({reference.name, kSize, x.data(), y.data()});
  call();
  for (int64_t i = 0; i < kSize; ++i) {
    const double expected = reference.value(x[i]);
    if (!(std::abs(y[i] - expected) <= kTolerance * (1 + std::abs(expected)))) {
      fmt::print(stderr, "{}({}) is {}, not {}\n", reference.name, x[i], y[i], expected);
      return false;
    }
  }
  fmt::print("{{\"case\": \"{}\", \"ms\": {}}}\n", reference.name,
             median_milliseconds(call, budget));
  return true;
}

}  // namespace
}  // namespace lathe::compare

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: {} THREADS SECONDS\n", argv[0]);
    return 2;
  }
  for (const lathe::compare::Reference& reference : lathe::compare::kFunctions)
    if (!lathe::compare::measure(reference, std::atof(argv[2]))) return 1;
}
