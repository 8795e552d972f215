// Graphs for people: fusion groups in text, and drawings in Graphviz' dot.
#pragma once

#include <string>

#include "ir/graph.h"
#include "passes/fuse.h"

namespace lathe::tools {

// The groups of a fusion plan in execution order, a line for each node:
// "%3 = dot_general(%1, %2) : f32[2,4]  // dense".
std::string outline(const Graph& g, const FusionPlan& plan);

// Regions are named, not drawn; scalar constants are left out.
std::string dot(const Graph& g);
// One box a group.
std::string dot(const Graph& g, const FusionPlan& plan);

// What Graphviz' `dot -Tsvg` makes of it; a user error where that is not installed or fails.
std::string svg_of_dot(const std::string& dot);

}  // namespace lathe::tools
