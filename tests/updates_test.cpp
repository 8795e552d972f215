// Updates of parameters where they are: by the kernel that computes the gradient, without a copy.
#include <doctest/doctest.h>

#include "ir/expr.h"
#include "passes/pipeline.h"
#include "runtime/cpu.h"
#include "tests/support/fill.h"
#include "tests/support/ladder.h"

namespace lathe {
namespace {

// A linear layer with its moments; `rows` are summed in the gradients.
struct Step {
  Graph graph{"step"};
  std::vector<Tensor> inputs;

  Expr given(const char* name, const Dims& dims, InputRole role = InputRole::Data) {
    inputs.push_back(small_noise(dims, 11 + inputs.size()));
    return input(graph, name, {DType::f32, Shape(dims)}, role);
  }
  void update(const char* name, const Expr& value) {
    for (size_t i = 0; i < graph.inputs().size(); ++i)
      if (graph.inputs()[i].name == name) graph.add_output(name, value.value, static_cast<int>(i));
  }

  explicit Step(int64_t rows) {
    const Expr x = given("x", {rows, 45}), g = given("g", {rows, 70});
    const Expr w = given("w", {45, 70}, InputRole::Parameter);
    const Expr b = given("b", {70}, InputRole::Parameter);
    const Expr m = given("m", {45, 70}, InputRole::State);
    const Expr n = given("n", {70}, InputRole::State);
    graph.add_output("y", (dot_general(x, w, {.lhs_contract = {1}, .rhs_contract = {0}}) +
                           broadcast(b, Shape{rows, 70}, {1}))
                              .value);
    const Expr dw = dot_general(x, g, {.lhs_contract = {0}, .rhs_contract = {0}});
    const Expr moved = m + (dw - m) * 0.1;
    update("m", moved);
    update("w", w - moved * 0.01);
    const Expr mean = n + (reduce_sum(g, {0}) - n) * 0.1;
    update("n", mean);
    update("b", b - mean * 0.01);
  }
};

TEST_CASE("a gradient's kernel updates what it belongs to, the same on every backend") {
  for (const int64_t rows : {1, 33, 2500}) {  // the last in blocks of the reduction
    CAPTURE(rows);
    const Step step(rows);
    const Program p = compile_to_program(step.graph, detect_cpu().target);
    for (const lathe::Step& s : p.plan.steps) CHECK(s.kind != StepKind::Copy);
    CHECK(climb_ladder(step.graph, step.inputs, 1e-4) == "");
  }
}

TEST_CASE("what is read in a reduction is not written over by its own kernel") {
  Graph g;
  const Expr w = input(g, "w", {DType::f32, Shape{40, 40}}, InputRole::Parameter);
  const Expr product = dot_general(w, w, {.lhs_contract = {1}, .rhs_contract = {0}});
  g.add_output("w", (w - product * 0.5).value, 0);
  CHECK(climb_ladder(g, {small_noise({40, 40}, 3)}, 1e-4) == "");
}

}  // namespace
}  // namespace lathe
