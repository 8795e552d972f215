// Results in the place of what they are computed from, with the same bits on every backend.
#include "passes/write_over.h"

#include <doctest/doctest.h>

#include "ir/expr.h"
#include "passes/pipeline.h"
#include "runtime/cpu.h"
#include "tests/support/fill.h"
#include "tests/support/ladder.h"

namespace lathe {
namespace {

constexpr int64_t kRows = 33, kColumns = 70, kSize = 20;
constexpr int64_t kBytes = kRows * kColumns * 4;

Expr matrix(Graph& g, const char* name, int64_t rows, int64_t columns) {
  return input(g, name, {DType::f32, Shape{rows, columns}});
}

Expr product(const Expr& a, const Expr& b) {
  return dot_general(a, b, {.lhs_contract = {1}, .rhs_contract = {0}});
}

// Of scores [kRows, kColumns], exponentials that a sum and a product read.
struct Softmax {
  Graph g;
  Expr scores = product(matrix(g, "a", kRows, kSize), matrix(g, "b", kSize, kColumns));
  Expr e = exp(scores - keep_axes(reduce_max(scores, {1}), {1}));
  Expr v = matrix(g, "v", kColumns, kSize);

  Softmax() {
    const Expr sum = keep_axes(reduce_sum(e, {1}), {1});
    g.add_output("y", product(e / broadcast_to(sum, e.shape()), v).value);
  }
};

int64_t arena(const Graph& g) {
  return compile_to_program(g, detect_cpu().target).plan.arena_bytes;
}

void check_bits(const Graph& g) {
  std::vector<Tensor> inputs;
  for (const GraphInput& in : g.inputs())
    inputs.push_back(small_noise(in.type.shape.static_dims(), inputs.size() + 1));
  CHECK(climb_ladder(g, inputs, 1e-4) == "");
}

TEST_CASE("the last reader of a temporary writes over it") {
  const Softmax softmax;
  CHECK(arena(softmax.g) < 2 * kBytes);
  check_bits(softmax.g);
}

TEST_CASE("what is read again later is not written over") {
  Softmax softmax;
  const Expr again =
      product(softmax.scores, softmax.v) * Expr{&softmax.g, softmax.g.outputs()[0].value};
  softmax.g.add_output("again", again.value);
  CHECK(arena(softmax.g) >= 2 * kBytes);
  check_bits(softmax.g);
}

TEST_CASE("elements that need others of a temporary have a place of their own") {
  Graph g;
  const Expr scores = product(matrix(g, "a", kRows, kSize), matrix(g, "b", kSize, kColumns));
  const Expr turned = exp(reverse(scores, 0)) + scores;
  g.add_output("y", product(turned, matrix(g, "v", kColumns, kSize)).value);
  g.add_output("most", reduce_max(turned, {1}).value);
  CHECK(arena(g) >= 2 * kBytes);
  check_bits(g);
}

}  // namespace
}  // namespace lathe
