// Constant factors in panels: the same bits as without, on every backend, and nothing kept twice.
#include "passes/pack_constants.h"

#include <doctest/doctest.h>

#include <functional>
#include <random>

#include "backends/compile.h"
#include "ir/expr.h"
#include "passes/pipeline.h"
#include "tests/support/kernel_run.h"

using namespace lathe;

namespace {

// A product's graph of what it is given: data and weights.
using Product = std::function<Expr(const Expr& x, const Expr& w)>;

struct Case {
  std::string name;
  Dims x, w;
  Product product;
  // Calls and bytes of weights that are left of one product.
  int calls = 1;
  int64_t weight_elements = 0;
};

Product contract(int64_t lhs, int64_t rhs) {
  return [=](const Expr& x, const Expr& w) {
    return dot_general(x, w, {.lhs_contract = {lhs}, .rhs_contract = {rhs}});
  };
}

Expr batched(const Expr& x, const Expr& w) {
  return dot_general(
      x, w, {.lhs_batch = {0}, .rhs_batch = {0}, .lhs_contract = {2}, .rhs_contract = {1}});
}

// Vectors read w across its rows.
Expr scaled(const Expr& x, const Expr& w) {
  return x * transpose(w, {1, 0}) + transpose(w, {1, 0});
}

// Channels last, taps of 3 x 3 in steps of 2.
Expr convolution(const Expr& x, const Expr& w) {
  WindowAttrs a;
  a.kernel = {3, 3}, a.stride = {2, 2}, a.dilation = {1, 1}, a.low = {1, 1}, a.high = {1, 1};
  const Expr patches = windows(transpose(x, {0, 3, 1, 2}), a);
  return dot_general(patches, w, {.lhs_contract = {4, 5, 1}, .rhs_contract = {0, 1, 2}});
}

std::vector<Case> cases() {
  return {
      {"panels and columns beyond", {5, 300}, {300, 70}, contract(1, 0), 2, 300 * 70},
      {"whole panels", {9, 300}, {300, 64}, contract(1, 0), 1, 300 * 64},
      {"transposed weights", {9, 300}, {67, 300}, contract(1, 1), 2, 300 * 67},
      {"few columns, transposed", {9, 300}, {10, 300}, contract(1, 1), 1, 300 * 10},
      {"rows padded to lines", {1, 300}, {300, 55}, contract(1, 0), 1, 300 * 64},
      {"one row", {1, 300}, {300, 130}, contract(1, 0), 2, 300 * 130},
      {"near already", {9, 16}, {16, 70}, contract(1, 0), 1, 16 * 70},
      {"a batch of weights", {3, 9, 100}, {3, 100, 70}, batched, 2, 3 * 100 * 70},
      {"a factor for each channel", {12, 30}, {30, 12}, scaled, 1, 30 * 12},
      {"convolution", {2, 9, 9, 32}, {3, 3, 32, 40}, convolution, 2, 9 * 32 * 40},
  };
}

Tensor values(const Dims& dims, unsigned seed) {
  std::mt19937 random(seed);
  Tensor t = Tensor::empty(DType::f32, dims);
  for (int64_t i = 0; i < t.size(); ++i) t.set(i, static_cast<double>(random() % 2001) / 1000 - 1);
  return t;
}

CompileOptions options(Backend backend) {
  CompileOptions o = compile_options();
  o.backend = backend;
  o.threads = 2;
  return o;
}

Graph with_weights(const Case& c, const Tensor& weights) {
  Graph g("product");
  const Expr x = input(g, "x", {DType::f32, Shape(c.x)});
  g.add_output("y", tanh(c.product(x, constant(g, weights)) + 0.5).value);
  return g;
}

Graph with_parameter(const Case& c) {
  Graph g("product");
  const Expr x = input(g, "x", {DType::f32, Shape(c.x)});
  const Expr w = input(g, "w", {DType::f32, Shape(c.w)});
  g.add_output("y", tanh(c.product(x, w) + 0.5).value);
  return g;
}

int64_t constant_elements(const Plan& plan) {
  int64_t n = 0;
  for (const Tensor& t : plan.constants) n += t.size();
  return n;
}

}  // namespace

TEST_CASE("a product with a literal has the bits of one with an input") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Tensor x = values(c.x, 1), w = values(c.w, 2);
    const Tensor expected =
        compile(with_parameter(c), options(Backend::Interpreter))->run({x, w})[0];
    for (const Backend backend : {Backend::Interpreter, Backend::Simd, Backend::Auto}) {
      CAPTURE(name(backend));
      const Tensor got = compile(with_weights(c, w), options(backend))->run({x})[0];
      CHECK(first_difference(got, expected) == -1);
    }
  }
}

TEST_CASE("weights are kept once, in panels") {
  for (const Case& c : cases()) {
    CAPTURE(c.name);
    const Program p =
        compile_program(with_weights(c, values(c.w, 2)), options(Backend::Interpreter));
    CHECK(std::ssize(p.plan.steps) == c.calls);
    CHECK(std::ssize(p.kernels) == c.calls);
    CHECK(p.plan.kernels == c.calls);
    CHECK(constant_elements(p.plan) == c.weight_elements);
  }
}

TEST_CASE("a literal that something else reads stays beside its panels") {
  const Tensor w = values({100, 64}, 2);
  Graph g("both");
  const Expr x = input(g, "x", {DType::f32, {9, 100}});
  const Expr weights = constant(g, w);
  g.add_output("y", matmul(x, weights).value);
  g.add_output("rows", (weights + 1.0).value);
  const Program p = compile_program(g, options(Backend::Interpreter));
  CHECK(constant_elements(p.plan) == 2 * w.size());
  const Tensor rows =
      make_executable(p, options(Backend::Interpreter))->run({values({9, 100}, 1)})[1];
  CHECK(rows.at(64) == static_cast<double>(w.data<float>()[64] + 1.0f));
}

TEST_CASE("two products of one literal share its panels") {
  Graph g("shared");
  const Expr x = input(g, "x", {DType::f32, {9, 64}});
  const Expr weights = constant(g, values({64, 64}, 2));
  g.add_output("y", matmul(tanh(matmul(x, weights)), weights).value);
  const Program p = compile_program(g, options(Backend::Interpreter));
  CHECK(p.plan.constants.size() == 1);
  CHECK(p.kernels.size() == 2);
}

TEST_CASE("weights of a scan's steps are laid out ahead") {
  Graph step("step");
  const Expr h = input(step, "h", {DType::f32, {4, 64}}),
             u = input(step, "u", {DType::f32, {64, 64}});
  step.add_output("h", tanh(matmul(h, u)).value);
  Graph g("scan");
  const Expr start = input(g, "start", {DType::f32, {4, 64}});
  const auto body = std::make_shared<const Graph>(std::move(step));
  const Expr u_all = constant(g, values({64, 64}, 3));
  g.add_output("h", scan(g, body, {start}, {}, {u_all}, Dim(5), false)[0].value);
  const Program p = compile_program(g, options(Backend::Interpreter));
  CHECK(constant_elements(p.plan) == 64 * 64);
  for (const Step& s : p.plan.steps) CHECK(s.kind != StepKind::Call);
}
