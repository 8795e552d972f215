// The text form of graphs. Its grammar: ir/README.md, section Graph.
//
// Printing is deterministic, and parse_graph(print_graph(g)) prints the same text. Names of the
// model (of inputs, outputs and nodes) are part of it; node numbers are positions in the text.
#pragma once

#include <string>
#include <string_view>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace lathe {

struct GraphTextOptions {
  // Writes `...` for the values of constants of more than kSmallTensor elements. For people: such a
  // text does not parse.
  bool elide_constants = false;
};

std::string print_graph(const Graph& g, const GraphTextOptions& options = {});

// The lines around a node, `reach` on either side, the node's own marked with '>'; constants are
// elided. For error messages: works on graphs that do not verify.
std::string print_around(const Graph& g, uint32_t node, int reach = 10);

// Safe on hostile text. Nodes go through Graph::add, so what is returned is well typed. Errors read
// "line:column: ..".
Result<Graph> parse_graph(std::string_view text);

}  // namespace lathe
