// Random graphs on every rung of the oracle ladder; their gradients: graph_gradient_ladder_test.
#include <doctest/doctest.h>

#include <set>

#include "ir/op.h"
#include "tests/support/effort.h"
#include "tests/support/graph_gen.h"
#include "tests/support/ladder.h"

using namespace lathe;

TEST_CASE("random graphs hold every elementwise op") {
  std::set<OpId> seen;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const RandomGraph r = random_graph(seed);
    for (const Node& n : r.graph.nodes()) seen.insert(n.op);
  }
  for (int i = 0; i < kOpCount; ++i) {
    const OpDef& op = op_def(static_cast<OpId>(i));
    CAPTURE(op.name);
    if (op.cls == OpClass::Elementwise) CHECK(seen.contains(static_cast<OpId>(i)));
  }
}

TEST_CASE("random graphs give the same bits on every backend") {
  for (uint64_t seed = 0; seed < testing::random_cases(2000); ++seed) {
    const RandomGraph r = random_graph(seed);
    const std::string fault = climb_ladder(r.graph, r.inputs, kRandomGraphTolerance);
    REQUIRE_MESSAGE(fault.empty(), "seed " << seed << ": " << fault);
  }
}
