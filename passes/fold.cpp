#include "passes/fold.h"

#include <algorithm>

#include "ir/base/gather.h"
#include "ir/eval.h"
#include "passes/match.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

// Bounds on compile time: elements read, and operations of a contraction.
constexpr int64_t kMostElements = int64_t{1} << 20;
constexpr int64_t kMostWork = int64_t{1} << 24;

// Views of a literal of any size that only move its bytes.
std::optional<Tensor> moved_bytes(const Node& n, const std::vector<Expr>& operands) {
  if (operands.size() != 1 || !match::is(operands[0], OpId::constant)) return std::nullopt;
  if (!n.types[0].shape.is_static()) return std::nullopt;
  const Tensor from = match::attrs<ConstantAttrs>(operands[0]).value;
  if (n.op == OpId::reshape) return from.reshaped(n.types[0].shape.static_dims());
  if (n.op != OpId::transpose) return std::nullopt;
  const Dims strides = row_major_strides(from.dims());
  Dims permuted;
  for (const int64_t axis : std::get<PermAttrs>(n.attrs).perm)
    permuted.push_back(strides[static_cast<size_t>(axis)]);
  return gather_strided(from, n.types[0].shape.static_dims(), permuted);
}

// The literal that an operand is or repeats.
std::optional<Expr> literal(const Expr& e) {
  const Expr from = match::is(e, OpId::broadcast) ? match::operand(e) : e;
  return match::is(from, OpId::constant) ? std::optional(from) : std::nullopt;
}

bool worth_folding(const Node& n, const std::vector<Expr>& operands) {
  const OpClass cls = op_def(n.op).cls;
  if (cls == OpClass::Source || cls == OpClass::Control || n.types.size() != 1) return false;
  if (!n.types[0].shape.is_static()) return false;
  int64_t read = 0;
  for (const Expr& e : operands) {
    const std::optional<Expr> from = literal(e);
    if (!from) return false;
    read += from->shape().element_count();
    if (read > kMostElements) return false;
  }
  const int64_t written = n.types[0].shape.element_count();
  if (written > std::max<int64_t>(read, 1)) return false;
  return cls != OpClass::Contract || written * read <= kMostWork;
}

std::optional<std::vector<Expr>> visit(const Graph& source, uint32_t id,
                                       const std::vector<Expr>& operands, Graph& target) {
  const Node& n = source.nodes()[id];
  if (std::optional<Tensor> t = moved_bytes(n, operands))
    return std::vector<Expr>{constant(target, *std::move(t))};
  if (!worth_folding(n, operands)) return std::nullopt;
  Graph one;
  std::vector<Value> values;
  for (const Expr& e : operands) {
    values.push_back(one.add(OpId::constant, {}, match::node(*literal(e)).attrs));
    if (match::is(e, OpId::broadcast))
      values.back() = one.add(OpId::broadcast, {values.back()}, match::node(e).attrs);
  }
  one.add_output("value", one.add(n.op, std::move(values), n.attrs));
  return std::vector<Expr>{constant(target, evaluate(one, std::vector<Tensor>{})[0])};
}

Graph fold_here(const Graph& g) { return Rebuilder::run(g, visit); }

}  // namespace

Graph fold_constants(const Graph& g) { return map_regions(fold_here(g), fold_here); }

}  // namespace lathe
