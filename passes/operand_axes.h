// Which axes of a node's operands one axis of its result comes from: what a part of the result
// needs of them.
#pragma once

#include <optional>
#include <vector>

#include "ir/graph.h"

namespace lathe {

// For each operand of node `id` the axis that result axis `axis` runs along, element for element
// where both are cut into `parts` equal parts in order; -1 for an operand that every part needs
// whole. Nothing where the parts of the result are not made of the same parts of operands.
// Shapes are static.
std::optional<std::vector<int>> operand_axes(const Graph& g, uint32_t id, int axis, int64_t parts);

// The result's axis that axis `axis` of operand `operand` becomes; -1 where it is reduced or
// operand_axes knows nothing of it.
int result_axis(const Graph& g, uint32_t id, int operand, int axis, int64_t parts);

// The axes that the operands of a dot_general or a reduce_sum are summed along together with axis
// `axis` of operand `operand`; nothing where that axis is not summed.
std::optional<std::vector<int>> summed_axes(const Graph& g, uint32_t id, int operand, int axis);

}  // namespace lathe
