// Loops whose iterations share nothing, on threads: attention by blocks of rows on xsimd's kernels.
// One of the tests that run under TSan, which does not see into compiled kernels.
#include <doctest/doctest.h>

#include "backends/compile.h"
#include "ir/expr.h"
#include "tests/support/fill.h"

namespace lathe {
namespace {

bool has_independent_loop(const std::vector<Step>& steps) {
  for (const Step& s : steps)
    if (s.independent || has_independent_loop(s.body)) return true;
  return false;
}

TEST_CASE("independent iterations on several threads give the bits of one thread") {
  constexpr int64_t kHeads = 2, kTokens = 1024, kWidth = 8;
  Graph g;
  const TensorType type{DType::f32, Shape{kHeads, kTokens, kWidth}};
  const Expr q = input(g, "q", type), k = input(g, "k", type), v = input(g, "v", type);
  const Expr scores = dot_general(
      q, k, {.lhs_batch = {0}, .rhs_batch = {0}, .lhs_contract = {2}, .rhs_contract = {2}});
  const Expr e = exp(scores - keep_axes(reduce_max(scores, {2}), {2}));
  const Expr p = e / keep_axes(reduce_sum(e, {2}), {2});
  g.add_output(
      "y", dot_general(
               p, v, {.lhs_batch = {0}, .rhs_batch = {0}, .lhs_contract = {2}, .rhs_contract = {1}})
               .value);
  std::vector<Tensor> inputs, expected;
  for (uint64_t i = 0; i < 3; ++i) inputs.push_back(small_noise(type.shape.static_dims(), i));
  for (const int threads : {1, 2, 4}) {
    CompileOptions options = compile_options();
    options.backend = Backend::Simd;
    options.threads = threads;
    const auto executable = compile(g, options);
    REQUIRE(has_independent_loop(executable->plan().steps));
    for (int run = 0; run < 3; ++run) {
      const std::vector<Tensor> y = executable->run(inputs);
      if (expected.empty()) expected = y;
      CHECK(identical(y[0], expected[0]));
    }
  }
}

}  // namespace
}  // namespace lathe
