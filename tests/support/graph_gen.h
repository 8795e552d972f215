// Random graphs for the oracle ladder: a fixed seed gives the same graph on every machine.
#pragma once

#include <cstdint>

#include "ir/graph.h"

namespace lathe {

struct RandomGraph {
  Graph graph;  // static shapes, at least one float input and output
  std::vector<Tensor> inputs;
};

// Some 5 to 25 nodes over small shapes: elementwise chains, broadcasts, views, reductions,
// contractions, gathers, prefix sums, convolutions as windows, and now and then a scan. Values stay
// of moderate size, so that float results are finite.
RandomGraph random_graph(uint64_t seed);

// For climb_ladder: float sums of a few dozen moderate terms behind a few dozen nodes.
inline constexpr double kRandomGraphTolerance = 2e-3;

}  // namespace lathe
