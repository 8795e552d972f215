// Replaces composites by their bodies, inside regions too.
#pragma once

#include "ir/graph.h"

namespace lathe {

Graph decompose(const Graph& g);

}  // namespace lathe
