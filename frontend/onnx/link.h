// Names made sure of: see model.h for what a linked graph is.
#pragma once

#include "frontend/onnx/model.h"

namespace lathe::onnx {

// Sorts the nodes and fills captures, last_use and initializer_index. Subgraphs in attributes are
// linked already. Errors name the file, the node and the value: defined
// twice, defined nowhere, or on a cycle.
void link_graph(GraphDef& graph, const std::string& path);
// A whole model or function body takes nothing from outside.
void check_closed(const GraphDef& graph, const std::string& path);

// Every name that a node reads, subgraphs included; with repetitions.
std::vector<std::string> names_read(const NodeDef& node);

// The nodes between values of these names and another, as a linked graph from those to this; what
// they read besides is captured.
GraphDef part_between(const GraphDef& graph, const std::vector<std::string>& from,
                      const std::string& to, const std::string& path);

}  // namespace lathe::onnx
