// The main program of every gemm_<engine>:
//
//   gemm_<engine> THREADS SECONDS [PART]
//
// checks each product, or those with PART in their name, measures it for SECONDS and prints one
// line of JSON.
#include "bench/compare/gemm.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "bench/compare/measure.h"

namespace lathe::compare {
namespace {

// Whether c = a b, by Freivalds: c v = a (b v) for a random v, in integers.
bool correct(const Gemm& g, std::mt19937& random) {
  const auto [model, m, n, k] = g.shape;
  std::vector<int64_t> v(static_cast<size_t>(n));
  for (int64_t& x : v) x = static_cast<int64_t>(random() % 65536);
  const auto times = [](const float* rows, int64_t count, const std::vector<int64_t>& x) {
    std::vector<int64_t> out;
    const auto width = static_cast<int64_t>(x.size());
    for (int64_t i = 0; i < count; ++i) {
      int64_t sum = 0;
      for (int64_t j = 0; j < width; ++j)
        sum += static_cast<int64_t>(rows[i * width + j]) * x[static_cast<size_t>(j)];
      out.push_back(sum);
    }
    return out;
  };
  return std::all_of(g.c, g.c + m * n, [](float x) { return x == std::floor(x); }) &&
         times(g.c, m, v) == times(g.a, m, times(g.b, k, v));
}

std::string case_of(const GemmShape& s) {
  return fmt::format("{} {}x{}x{}", s.model, s.m, s.n, s.k);
}

bool measure(const GemmShape& s, int threads, double budget) {
  std::mt19937 random(1);
  const Floats a = small_integers(s.m * s.k, random), b = small_integers(s.k * s.n, random);
  Floats c(static_cast<size_t>(s.m * s.n), std::numeric_limits<float>::quiet_NaN());
  const Gemm gemm{s, a.data(), b.data(), c.data()};
  const std::function<void()> call = prepare_gemm(gemm, threads);
  call();
  if (!correct(gemm, random)) {
    fmt::print(stderr, "{}: the product is wrong\n", case_of(s));
    return false;
  }
  fmt::print("{{\"case\": \"{}\", \"ms\": {}}}\n", case_of(s), median_milliseconds(call, budget));
  return true;
}

}  // namespace
}  // namespace lathe::compare

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    fmt::print(stderr, "usage: {} THREADS SECONDS [PART]\n", argv[0]);
    return 2;
  }
  for (const lathe::compare::GemmShape& s : lathe::compare::gemm_shapes())
    if (argc == 3 || lathe::compare::case_of(s).find(argv[3]) != std::string::npos)
      if (!lathe::compare::measure(s, std::atoi(argv[1]), std::atof(argv[2]))) return 1;
}
