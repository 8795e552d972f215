// The oracle ladder over the case table: reference evaluation, then the interpreter within each
// row's tolerance, then every backend and thread count against the interpreter, bit for bit.
#include <doctest/doctest.h>

#include <cmath>

#include "ir/eval.h"
#include "tests/support/ladder.h"
#include "tests/support/op_cases.h"

using namespace lathe;

TEST_CASE("every row of the case table climbs the ladder") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const Graph g = build_case(c);
    const std::string fault = climb_ladder(g, sample_inputs(g, c), c.tolerance);
    CHECK_MESSAGE(fault.empty(), c.name << ": " << fault);
  }
}

TEST_CASE("every differentiable row's gradient climbs the ladder") {
  for (const OpCase& c : op_cases()) {
    if (!c.differentiable) continue;
    CAPTURE(c.name);
    const Graph g = with_gradients(build_case(c));
    const std::string fault = climb_ladder(g, sample_inputs(g, c), 20 * c.tolerance);
    CHECK_MESSAGE(fault.empty(), c.name << ": " << fault);
  }
}
