// Completeness of the op registry and soundness of the case table that other tests run on.
#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "ir/eval.h"
#include "ir/op.h"
#include "tests/support/op_cases.h"

namespace lathe {
namespace {

bool uses_op(const Graph& g, OpId op) {
  for (const Node& n : g.nodes()) {
    if (n.op == op) return true;
    for (const Region& r : n.regions)
      if (uses_op(*r, op)) return true;
  }
  return false;
}

bool has_control(const Graph& g) {
  for (const Node& n : g.nodes())
    if (op_def(n.op).cls == OpClass::Control) return true;
  return false;
}

}  // namespace

TEST_CASE("every op has a case row") {
  std::set<OpId> covered;
  for (const OpCase& c : op_cases()) covered.insert(c.op);
  for (int i = 0; i < kOpCount; ++i) {
    const auto op = static_cast<OpId>(i);
    CAPTURE(op_def(op).name);
    CHECK(covered.contains(op));
  }
}

TEST_CASE("case names are unique and begin with their op's name") {
  std::set<std::string> names;
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    CHECK(names.insert(c.name).second);
    CHECK(c.name.starts_with(op_def(c.op).name));
  }
}

TEST_CASE("op names are found, and only they") {
  for (int i = 0; i < kOpCount; ++i)
    CHECK(find_op(op_def(static_cast<OpId>(i)).name) == static_cast<OpId>(i));
  CHECK_FALSE(find_op("frobnicate").has_value());
  CHECK_FALSE(find_op("").has_value());
}

TEST_CASE("every case evaluates, to the types it infers, and uses its op") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const Graph g = build_case(c, 3);
    CHECK(uses_op(g, c.op));
    const std::vector<Tensor> out = evaluate(g, sample_inputs(g, c));
    REQUIRE(out.size() == g.outputs().size());
    for (size_t k = 0; k < out.size(); ++k)
      CHECK(out[k].type_text() == g.type(g.outputs()[k].value).text());
  }
}

TEST_CASE("symbolic cases infer what their bound form infers") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const Graph symbolic = build_case(c, Dim::symbol("n"));
    const Graph bound = build_case(c, 3);
    REQUIRE(symbolic.outputs().size() == bound.outputs().size());
    for (size_t k = 0; k < bound.outputs().size(); ++k) {
      const TensorType& type = symbolic.type(symbolic.outputs()[k].value);
      CHECK(type.shape.bind({{"n", 3}}) == bound.type(bound.outputs()[k].value).shape);
    }
  }
}

TEST_CASE("differentiable cases draw inputs that give finite results") {
  for (const OpCase& c : op_cases()) {
    if (!c.differentiable) continue;
    CAPTURE(c.name);
    const Graph g = build_case(c, 3);
    bool finite = true;
    for (const Tensor& t : evaluate(g, sample_inputs(g, c)))
      for (int64_t i = 0; i < t.size(); ++i) finite = finite && std::isfinite(t.at(i));
    CHECK(finite);
  }
}

TEST_CASE("a case copied node by node evaluates to the same bits") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const Graph g = build_case(c, 3);
    if (has_control(g)) continue;  // regions are shared, the copy is trivially equal
    Graph copy;
    std::vector<Expr> inputs;
    for (const GraphInput& in : g.inputs()) inputs.push_back(input(copy, in.name, in.type));
    for (const Expr& out : inline_graph(copy, g, inputs)) copy.add_output("", out.value);
    const auto given = sample_inputs(g, c);
    const auto a = evaluate(g, given), b = evaluate(copy, given);
    REQUIRE(a.size() == b.size());
    for (size_t k = 0; k < a.size(); ++k) CHECK(identical(a[k], b[k]));
  }
}

}  // namespace lathe
