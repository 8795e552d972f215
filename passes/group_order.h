// The order in which the groups and steps of a fusion plan run.
#pragma once

#include "passes/fuse.h"

namespace lathe {

// FusionPlan::order for a plan whose groups are final: what must be computed before a group comes
// before it, else as the nodes stand in the graph. `live` by node.
std::vector<int64_t> order_groups(const Graph& g, const FusionPlan& plan,
                                  const std::vector<bool>& live);

}  // namespace lathe
