// Which kernel computes what.
#include "passes/fuse.h"

#include <doctest/doctest.h>

#include "ir/expr.h"
#include "tests/support/fill.h"
#include "tests/support/ladder.h"

using namespace lathe;

namespace {

constexpr int64_t kRows = 8, kColumns = 24;

Expr matrix(Graph& g, const char* name) {
  return input(g, name, {DType::f32, Shape{kRows, kColumns}});
}

// Whether one kernel computes both.
bool together(const FusionPlan& plan, const Expr& a, const Expr& b) {
  return plan.group_of[a.value.node] >= 0 &&
         plan.group_of[a.value.node] == plan.group_of[b.value.node];
}

void check_ladder(const Graph& g) {
  std::vector<Tensor> inputs;
  for (const GraphInput& in : g.inputs())
    inputs.push_back(small_noise(in.type.shape.static_dims(), inputs.size()));
  CHECK(climb_ladder(g, inputs, 1e-5) == "");
}

}  // namespace

TEST_CASE("squares that only their sum reads are computed where they are summed") {
  Graph g;
  const Expr x = matrix(g, "x");
  const Expr centred = x - keep_axes(reduce_mean(x, {1}), {1});
  const Expr squares = centred * centred, sum = reduce_sum(squares, {1});
  g.add_output("y", (centred / keep_axes(sum / kColumns, {1})).value);
  const FusionPlan plan = fuse(g);
  CHECK(together(plan, squares, sum));
  CHECK(!together(plan, centred, sum));
  check_ladder(g);
}

TEST_CASE("what is read elsewhere too stays where it is written") {
  Graph g;
  const Expr x = matrix(g, "x");
  const Expr e = exp(x - keep_axes(reduce_max(x, {1}), {1})), sum = reduce_sum(e, {1});
  g.add_output("y", (e / keep_axes(sum, {1})).value);
  CHECK(!together(fuse(g), e, sum));
  check_ladder(g);
}

TEST_CASE("exponentials stay where they are beside no accumulators") {
  Graph g;
  const Expr x = matrix(g, "x");
  const Expr z = x - keep_axes(reduce_max(x, {1}), {1}), e = exp(z), sum = reduce_sum(e, {1});
  g.add_output("y", (z - log(keep_axes(sum, {1}))).value);
  CHECK(!together(fuse(g), e, sum));
  check_ladder(g);
}

TEST_CASE("what a product and its readers have in memory is multiplied where that is summed") {
  Graph g;
  const Expr x = matrix(g, "x"), y = matrix(g, "y"), w = input(g, "w", {DType::f32, Shape{24, 24}});
  const Expr shares = exp(dot_general(x, w, {.lhs_contract = {1}, .rhs_contract = {0}}));
  const Expr product = -(shares * y), sum = reduce_sum(product, {1});
  g.add_output("y", (shares * keep_axes(sum, {1})).value);
  CHECK(together(fuse(g), product, sum));
  CHECK(!together(fuse(g), shares, sum));
  check_ladder(g);
}

TEST_CASE("what nothing else reads of a product stays in its kernel") {
  Graph g;
  const Expr x = matrix(g, "x"), y = matrix(g, "y"), w = input(g, "w", {DType::f32, Shape{24, 24}});
  const Expr scores = dot_general(x, w, {.lhs_contract = {1}, .rhs_contract = {0}});
  const Expr product = scores * y;
  g.add_output("sum", reduce_sum(product, {1}).value);
  CHECK(together(fuse(g), scores, product));
  check_ladder(g);
}

TEST_CASE("what is made of more than it is stays where it is written") {
  Graph g;
  const Expr x = matrix(g, "x"), y = matrix(g, "y"), z = matrix(g, "z");
  const Expr a = sqrt(abs(x)), b = y * a, c = z + b;
  const Expr product = a * b * c, sum = reduce_sum(product, {1});
  g.add_output("a", (a + b + c).value);
  g.add_output("b", tanh(b).value);
  g.add_output("sum", sum.value);
  CHECK(!together(fuse(g), product, sum));
  check_ladder(g);
}

TEST_CASE("a sum over several axes keeps what it is walked by") {
  Graph g;
  const Expr x = input(g, "x", {DType::f32, Shape{4, 5, 6}});
  const Expr weights = input(g, "weights", {DType::f32, Shape{6}});
  const Expr t = tanh(x), weighted = t * weights, sum = reduce_sum(weighted, {1, 2});
  g.add_output("t", t.value);
  g.add_output("sum", sum.value);
  CHECK(!together(fuse(g), weighted, sum));
  check_ladder(g);
}
