// Fusion: decides which values exist in memory and which nodes share a kernel.
//
// Works on op classes alone. Every node is one of:
//   External   a parameter or a large constant: memory that is there already
//   Alias      the same bytes as its operand (reshape)
//   Inline     recomputed wherever it is read: splat constants, iota, views, cheap elementwise
//              functions of those, and masks that are cheaper to compute than to read
//   Grouped    computed by the kernel of one group
//   Step       becomes steps that are not kernels: control flow and sorts
#pragma once

#include <set>
#include <vector>

#include "ir/graph.h"

namespace lathe {

enum class Disposition : uint8_t { Dead, External, Alias, Inline, Grouped, Step };

// Nodes computed by one kernel over one index space, `dims`. At most one is a core (Reduce,
// Contract, Cumulative or Scatter); the others are its elementwise prologue and epilogue. Where a
// reshape that merges axes follows the core, the epilogue has the merged `shape`, and `dims` stay
// the core's.
struct FusionGroup {
  std::vector<uint32_t> nodes;  // ascending
  Dims dims, shape;
  int64_t core = -1;           // node id or -1
  std::vector<Value> outputs;  // values others read; never empty
};

struct FusionPlan {
  std::vector<Disposition> disposition;  // by node
  std::vector<int> group_of;             // by node, -1 if not Grouped
  std::vector<FusionGroup> groups;
  // Groups (as index) and Step nodes (as ~node id) in execution order.
  std::vector<int64_t> order;
  std::set<uint32_t> inlined;  // all Inline nodes
};

// The graph's shapes are static and composites have been inlined.
FusionPlan fuse(const Graph& g);

}  // namespace lathe
