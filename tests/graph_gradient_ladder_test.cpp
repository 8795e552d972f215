// The graphs of graph_ladder_test with their gradients; two programs so that two CPUs run them.
#include <doctest/doctest.h>

#include "tests/support/effort.h"
#include "tests/support/graph_gen.h"
#include "tests/support/ladder.h"

using namespace lathe;

TEST_CASE("gradients of random graphs give the same bits on every backend") {
  for (uint64_t seed = 0; seed < testing::random_cases(2000); ++seed) {
    const RandomGraph r = random_graph(seed);
    const std::string fault =
        climb_ladder(with_gradients(r.graph), r.inputs, kRandomGraphTolerance);
    REQUIRE_MESSAGE(fault.empty(), "seed " << seed << ": " << fault);
  }
}
