// Random graphs, forward and backward, on every rung of the oracle ladder.
#include <doctest/doctest.h>

#include <set>

#include "ir/op.h"
#include "tests/support/graph_gen.h"
#include "tests/support/ladder.h"

using namespace lathe;

namespace {

constexpr uint64_t kGraphs = 2000;

// Float sums of a few dozen moderate terms behind a few dozen nodes.
constexpr double kTolerance = 2e-3;

}  // namespace

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
  for (uint64_t seed = 0; seed < kGraphs; ++seed) {
    const RandomGraph r = random_graph(seed);
    const bool backward = seed % 2 == 1;
    const std::string fault = climb_ladder(backward ? with_gradients(r.graph) : r.graph, r.inputs,
                                           kTolerance, seed % 10 < 2);
    REQUIRE_MESSAGE(fault.empty(), "seed " << seed << (backward ? ", backward: " : ": ") << fault);
  }
}
