// Lowering of a whole graph: groups become kernels, control ops become steps, values get buffers.
#pragma once

#include <string>

#include "ir/base/target.h"
#include "ir/graph.h"
#include "ir/program.h"

namespace lathe {

// The graph is static, verified, without composites. Kernels come out canonical and expanded (only
// machine scalars), with schedules for `target`; buffers are not yet placed in the arena.
Program lower(const Graph& g, const Target& target);

}  // namespace lathe
