// Calls that share nothing run at the same time, to the same bits.
#include "passes/join_calls.h"

#include <doctest/doctest.h>

#include "backends/compile.h"
#include "ir/expr.h"
#include "tests/support/fill.h"
#include "tests/support/kernel_run.h"

using namespace lathe;

namespace {

CompileOptions options(Backend backend = Backend::Interpreter, int threads = 1) {
  CompileOptions o = compile_options();
  o.backend = backend;
  o.threads = threads;
  o.wait_compile = true;
  return o;
}

int joined(const std::vector<Step>& steps) {
  int n = 0;
  for (const Step& s : steps) n += (s.joins ? 1 : 0) + joined(s.body) + joined(s.other);
  return n;
}

int joined(const Graph& g) { return joined(compile_program(g, options()).plan.steps); }

Expr tensor(Graph& g, const char* name, Dims dims) {
  return input(g, name, {DType::f32, Shape(dims)});
}

Expr weights(Graph& g, Dims dims, uint64_t seed) { return constant(g, small_noise(dims, seed)); }

Expr product(const Expr& x, const Expr& w) {
  return dot_general(x, w, {.lhs_contract = {1}, .rhs_contract = {0}});
}

void check_same_bits(const Graph& g) {
  std::vector<Tensor> inputs;
  for (const GraphInput& in : g.inputs())
    inputs.push_back(small_noise(in.type.shape.static_dims(), inputs.size() + 1));
  const std::vector<Tensor> expected = compile(g, options())->run(inputs);
  for (const Backend backend : {
#ifdef LATHE_WITH_LLVM
           Backend::Llvm,
#endif
           Backend::Simd})
    for (const int threads : {2, 5})
      for (int run = 0; run < 20; ++run) {
        const auto executable = compile(g, options(backend, threads));
        const std::vector<Tensor> got = executable->run(inputs);
        for (size_t k = 0; k < got.size(); ++k) CHECK(first_difference(got[k], expected[k]) == -1);
      }
}

}  // namespace

TEST_CASE("products of one value by several weights join") {
  Graph g("heads");
  const Expr x = tensor(g, "x", {96, 80});
  for (const char* name : {"q", "k", "v"})
    g.add_output(name, product(x, weights(g, {80, 64}, static_cast<uint64_t>(name[0]))).value);
  CHECK(joined(g) == 2);
  check_same_bits(g);
}

TEST_CASE("the columns beyond whole panels join the panels, though their rows alternate") {
  Graph g("columns");
  const Expr x = tensor(g, "x", {138, 151});
  g.add_output("y", product(x, weights(g, {151, 70}, 3)).value);
  CHECK(joined(g) == 1);
  const Program p = compile_program(g, options());
  REQUIRE(p.schedules.size() == 2);
  CHECK(p.schedules[0].parallel == 0);  // rows, which one thread writes all of
  CHECK(p.schedules[1].parallel == 0);
  CHECK(p.schedules[1].grain == p.schedules[0].grain);
  check_same_bits(g);
}

TEST_CASE("a call that reads what the one before wrote does not join, nor those after one") {
  Graph g("chain");
  const Expr x = tensor(g, "x", {96, 64});
  const Expr y = product(x, weights(g, {64, 64}, 1));
  const Expr z = product(y, weights(g, {64, 64}, 2));
  g.add_output("z", product(z, weights(g, {64, 64}, 3)).value);
  CHECK(joined(g) == 0);
}

TEST_CASE("temporaries that take each other's place keep calls apart") {
  Graph g("places");
  const Expr x = tensor(g, "x", {96, 64});
  // What the first product of a pair leaves is dead when the next pair begins.
  Expr y = x;
  for (uint64_t i = 0; i < 6; ++i) {
    const Expr left = product(y, weights(g, {64, 64}, 2 * i + 1));
    const Expr right = product(y, weights(g, {64, 70}, 2 * i + 2));
    y = product(max(left, 0), weights(g, {64, 64}, 50 + i)) +
        product(max(right, 0), weights(g, {70, 64}, 60 + i));
  }
  g.add_output("y", y.value);
  CHECK(joined(g) > 6);
  check_same_bits(g);
}

TEST_CASE("calls too small to be split do not join") {
  Graph g("small");
  const Expr x = tensor(g, "x", {4, 8});
  for (const char* name : {"a", "b"})
    g.add_output(name, product(x, weights(g, {8, 8}, static_cast<uint64_t>(name[0]))).value);
  CHECK(joined(g) == 0);
}
