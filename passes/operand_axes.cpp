#include "passes/operand_axes.h"

#include <algorithm>

#include "ir/axes.h"
#include "ir/op.h"

namespace lathe {
namespace {

using Axes = std::optional<std::vector<int>>;

int64_t extent(const Graph& g, Value v, int axis) { return g.type(v).shape[axis].value(); }

int place_of(const Dims& axes, int64_t axis) {
  const auto found = std::ranges::find(axes, axis);
  return found == axes.end() ? -1 : static_cast<int>(found - axes.begin());
}

Axes through_broadcast(const Graph& g, const Node& n, const BroadcastAttrs& a, int axis) {
  const int at = place_of(a.axes, axis);
  const bool repeated = at < 0 || !(g.type(n.operands[0]).shape[at] == a.shape[axis]);
  return std::vector{repeated ? -1 : at};
}

// The axis of the operand whose parts lie where the parts of the result's axis do.
Axes through_reshape(const Graph& g, const Node& n, int axis, int64_t parts) {
  const Shape &from = g.type(n.operands[0]).shape, &to = n.types[0].shape;
  int64_t before = 1;
  for (int i = 0; i < axis; ++i) before *= to[i].value();
  for (int i = 0; i < from.rank(); ++i) {
    if (before == 1 && from[i].value() % parts == 0) return std::vector{i};
    if (from[i].value() == 0 || before % from[i].value() != 0) break;
    before /= from[i].value();
  }
  return std::nullopt;
}

Axes through_slice(const Graph& g, const Node& n, const SliceAttrs& a, int axis) {
  const auto at = static_cast<size_t>(axis);
  const Dim& whole = g.type(n.operands[0]).shape[axis];
  if (!(a.start[at] == Dim(0)) || !(a.size[at] == whole) || a.stride[at] != 1) return std::nullopt;
  return std::vector{axis};
}

Axes through_pad(const PadAttrs& a, int axis) {
  const auto at = static_cast<size_t>(axis);
  if (!(a.low[at] == Dim(0)) || !(a.high[at] == Dim(0)) || a.interior[at] != 0) return std::nullopt;
  return std::vector{axis, -1};
}

int through_reduce(const Dims& axes, int axis) {
  for (const int64_t a : axes)
    if (a <= axis) ++axis;
  return axis;
}

Axes through_gather(const Graph& g, const Node& n, int at, int axis) {
  const int indices = g.type(n.operands[1]).rank();
  if (axis < at) return std::vector{axis, -1};
  if (axis < at + indices) return std::vector{-1, axis - at};
  return std::vector{axis - indices + 1, -1};
}

std::vector<int> through_dot(const Graph& g, const Node& n, const DotAttrs& a, int axis) {
  const int batches = static_cast<int>(a.lhs_batch.size());
  if (axis < batches)
    return {static_cast<int>(a.lhs_batch[static_cast<size_t>(axis)]),
            static_cast<int>(a.rhs_batch[static_cast<size_t>(axis)])};
  const Dims lhs = free_axes(g.type(n.operands[0]).rank(), a.lhs_batch, a.lhs_contract);
  const Dims rhs = free_axes(g.type(n.operands[1]).rank(), a.rhs_batch, a.rhs_contract);
  const auto at = static_cast<size_t>(axis - batches);
  if (at < lhs.size()) return {static_cast<int>(lhs[at]), -1};
  return {-1, static_cast<int>(rhs[at - lhs.size()])};
}

}  // namespace

std::optional<std::vector<int>> operand_axes(const Graph& g, uint32_t id, int axis, int64_t parts) {
  const Node& n = g.nodes()[id];
  const OpDef& def = op_def(n.op);
  if (n.types.size() != 1 || extent(g, {id, 0}, axis) % parts != 0) return std::nullopt;
  if (n.op == OpId::iota) return std::vector<int>{};
  if (def.cls == OpClass::Elementwise) return std::vector<int>(n.operands.size(), axis);
  if (const auto* a = std::get_if<BroadcastAttrs>(&n.attrs))
    return through_broadcast(g, n, *a, axis);
  if (const auto* a = std::get_if<PermAttrs>(&n.attrs))
    return std::vector{static_cast<int>(a->perm[static_cast<size_t>(axis)])};
  if (n.op == OpId::reshape) return through_reshape(g, n, axis, parts);
  if (const auto* a = std::get_if<SliceAttrs>(&n.attrs)) return through_slice(g, n, *a, axis);
  if (const auto* a = std::get_if<PadAttrs>(&n.attrs)) return through_pad(*a, axis);
  if (const auto* a = std::get_if<DotAttrs>(&n.attrs)) return through_dot(g, n, *a, axis);
  if (const auto* a = std::get_if<AxesAttrs>(&n.attrs); a && def.cls == OpClass::Reduce)
    return std::vector{through_reduce(a->axes, axis)};
  if (const auto* a = std::get_if<AxisAttrs>(&n.attrs)) {
    const int at = static_cast<int>(a->axis);
    if (def.cls == OpClass::Gather) return through_gather(g, n, at, axis);
    if (n.op == OpId::concat && at != axis) return std::vector<int>(n.operands.size(), axis);
  }
  return std::nullopt;
}

int result_axis(const Graph& g, uint32_t id, int operand, int axis, int64_t parts) {
  const Node& n = g.nodes()[id];
  for (int r = 0; n.types.size() == 1 && r < n.types[0].rank(); ++r) {
    const Axes axes = operand_axes(g, id, r, parts);
    if (axes && static_cast<size_t>(operand) < axes->size() &&
        (*axes)[static_cast<size_t>(operand)] == axis)
      return r;
  }
  return -1;
}

std::optional<std::vector<int>> summed_axes(const Graph& g, uint32_t id, int operand, int axis) {
  const Node& n = g.nodes()[id];
  if (n.op == OpId::reduce_sum) {
    if (place_of(std::get<AxesAttrs>(n.attrs).axes, axis) < 0) return std::nullopt;
    return std::vector{axis};
  }
  if (n.op != OpId::dot_general) return std::nullopt;
  const auto& a = std::get<DotAttrs>(n.attrs);
  const int at = place_of(operand == 0 ? a.lhs_contract : a.rhs_contract, axis);
  if (at < 0) return std::nullopt;
  return std::vector{static_cast<int>(a.lhs_contract[static_cast<size_t>(at)]),
                     static_cast<int>(a.rhs_contract[static_cast<size_t>(at)])};
}

}  // namespace lathe
