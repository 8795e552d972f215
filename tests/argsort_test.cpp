// The order of argsort: numbers with NaN and zeros of both signs, ties, few of many, many lanes.
#include "runtime/artifact/argsort.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "backends/compile.h"
#include "ir/eval.h"
#include "ir/expr.h"
#include "tests/support/random.h"

namespace lathe {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<int64_t> places(const Tensor& x, int64_t count, bool descending) {
  std::vector<int64_t> out(static_cast<size_t>(count));
  argsort_of(x.dtype()).call(x.raw(), out.data(), 1, x.size(), count, descending ? 1 : 0);
  return out;
}

Tensor list(DType t, const std::vector<double>& values) {
  Tensor out = Tensor::empty(t, {std::ssize(values)});
  for (int64_t i = 0; i < out.size(); ++i) out.set(i, values[static_cast<size_t>(i)]);
  return out;
}

Graph sorting(const TensorType& type, int64_t count, bool descending) {
  Graph g;
  g.add_output("places", argsort(input(g, "x", type), count, descending).value);
  return g;
}

TEST_CASE("NaN is the largest, the zeros are equal, equal ones keep their order") {
  const std::vector<double> values = {2, kNan, -0.0, -kInfinity, 0.0, kInfinity, -1, kNan, 2, -0.0};
  const std::vector<int64_t> up = {3, 6, 2, 4, 9, 0, 8, 5, 1, 7};
  const std::vector<int64_t> down = {1, 7, 5, 0, 8, 2, 4, 9, 6, 3};
  for (const DType t : {DType::f64, DType::f32, DType::f16, DType::bf16}) {
    CAPTURE(name(t));
    const Tensor x = list(t, values);
    for (size_t count = 0; count <= values.size(); ++count) {
      const auto first = [&](const std::vector<int64_t>& all) {
        return std::vector<int64_t>(all.begin(), all.begin() + static_cast<int64_t>(count));
      };
      CHECK(places(x, static_cast<int64_t>(count), false) == first(up));
      CHECK(places(x, static_cast<int64_t>(count), true) == first(down));
    }
    for (const bool descending : {false, true}) {
      const Graph g = sorting({t, {Dim(x.size())}}, x.size(), descending);
      const Tensor reference = evaluate(g, std::vector<Tensor>{x})[0];
      const auto& expected = descending ? down : up;
      CHECK(std::equal(expected.begin(), expected.end(), reference.data<int64_t>()));
    }
  }
}

TEST_CASE("the largest and smallest numbers of every integer type") {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto t = static_cast<DType>(i);
    if (!is_integer(t)) continue;
    CAPTURE(name(t));
    const auto bits = static_cast<int>(8 * byte_size(t));
    const int64_t most = is_signed(t) ? std::numeric_limits<int64_t>::max() >> (64 - bits) : -1;
    const int64_t least = is_signed(t) ? -most - 1 : 0;
    Tensor x = Tensor::empty(t, {5});
    int64_t k = 0;
    for (const int64_t v : {int64_t{7}, most, least, int64_t{3}, most}) x.set_int(k++, v);
    CHECK(places(x, 5, false) == std::vector<int64_t>{2, 3, 0, 1, 4});
    CHECK(places(x, 5, true) == std::vector<int64_t>{1, 4, 0, 3, 2});
    CHECK(places(x, 2, true) == std::vector<int64_t>{1, 4});
  }
}

TEST_CASE("any number of the first of many, with ties, is the start of a stable sort") {
  Random random(7);
  for (const int64_t length : {1, 2, 100, 5000}) {
    std::vector<double> values(static_cast<size_t>(length));
    for (double& v : values) v = static_cast<double>(random.below(length / 2 + 1));
    const Tensor x = list(DType::f32, values);
    for (const bool descending : {false, true}) {
      std::vector<int64_t> all(values.size());
      std::iota(all.begin(), all.end(), int64_t{0});
      std::stable_sort(all.begin(), all.end(), [&](int64_t a, int64_t b) {
        const double p = values[static_cast<size_t>(a)], q = values[static_cast<size_t>(b)];
        return descending ? q < p : p < q;
      });
      for (const int64_t count : {int64_t{1}, length / 7, length - 1, length})
        CHECK(places(x, count, descending) ==
              std::vector<int64_t>(all.begin(), all.begin() + count));
    }
  }
}

TEST_CASE("lanes are sorted alike on one thread and on several") {
  constexpr int64_t kLaneCount = 67, kLength = 3000, kWanted = 40;
  Random random(11);
  Tensor x = Tensor::empty(DType::f32, {kLaneCount, kLength});
  for (int64_t i = 0; i < x.size(); ++i) x.set(i, static_cast<double>(random.below(1000)));
  const Graph g = sorting({DType::f32, {kLaneCount, kLength}}, kWanted, true);
  std::vector<Tensor> results;
  for (const int threads : {1, 4}) {
    CompileOptions options = compile_options();
    options.backend = Backend::Interpreter;
    options.threads = threads;
    results.push_back(compile(g, options)->run({x})[0]);
  }
  CHECK(identical(results[0], results[1]));
  for (const int64_t lane : {int64_t{0}, int64_t{31}, kLaneCount - 1}) {
    const auto expected = places(list(DType::f32,
                                      [&] {
                                        std::vector<double> row;
                                        for (int64_t i = 0; i < kLength; ++i)
                                          row.push_back(x.at(lane * kLength + i));
                                        return row;
                                      }()),
                                 kWanted, true);
    CHECK(
        std::equal(expected.begin(), expected.end(), results[0].data<int64_t>() + lane * kWanted));
  }
}

}  // namespace
}  // namespace lathe
