#include "ir/graph.h"

#include <algorithm>

#include "ir/op.h"

namespace lathe {

#define OP(id) extern const OpDef id##_op;
#include "ir/ops/ops.def"

namespace {

const OpDef* const kOps[] = {
#define OP(id) &id##_op,
#include "ir/ops/ops.def"
};

std::string operand_text(const std::vector<TensorType>& types) {
  std::string out;
  for (const TensorType& t : types) out += (out.empty() ? "" : ", ") + t.text();
  return out;
}

// Offsets within any value fit 64 bits: element_count has the limit.
void check_size(const TensorType& t, const OpDef& def, const std::string& where) {
  if (!t.shape.is_static()) return;
  try {
    t.shape.element_count();
  } catch (const Error& e) {
    fail("{}{}: {}", def.name, where, e.what());
  }
}

bool same_node(const Node& a, const Node& b) {
  if (a.op != b.op || a.operands != b.operands || !(a.attrs == b.attrs) ||
      a.regions.size() != b.regions.size())
    return false;
  for (size_t i = 0; i < a.regions.size(); ++i)
    if (a.regions[i] != b.regions[i] && !same_graph(*a.regions[i], *b.regions[i])) return false;
  return true;
}

}  // namespace

const OpDef& op_def(OpId op) { return *kOps[static_cast<size_t>(op)]; }

std::optional<OpId> find_op(std::string_view name) {
  for (int i = 0; i < kOpCount; ++i)
    if (kOps[i]->name == name) return static_cast<OpId>(i);
  return std::nullopt;
}

Value Graph::add_input(std::string name, TensorType type, InputRole role) {
  ParameterAttrs attrs{static_cast<int64_t>(inputs_.size()), type.dtype, type.shape};
  const Value v = add(OpId::parameter, {}, std::move(attrs), {}, name);
  inputs_.push_back({std::move(name), std::move(type), role, v});
  return v;
}

Value Graph::add(OpId op, std::vector<Value> operands, Attrs attrs, std::vector<Region> regions,
                 std::string name) {
  const OpDef& def = op_def(op);
  LATHE_ASSERT(attrs.index() == def.attrs, "op {} was given other attributes", def.name);
  LATHE_ASSERT(static_cast<int>(regions.size()) == def.regions, "op {} has {} regions", def.name,
               def.regions);
  std::vector<TensorType> types;
  for (const Value& v : operands) {
    LATHE_ASSERT(v.node < nodes_.size(), "op {}: operand of another graph", def.name);
    types.push_back(type(v));
  }
  if (name.empty()) name = current_name_;
  const std::string where = name.empty() ? "" : fmt::format(" (node '{}')", name);
  if (def.arity != kVariadic && static_cast<int>(operands.size()) != def.arity)
    fail("{}{}: {} operands given, {} expected", def.name, where, operands.size(), def.arity);
  Result<Types> inferred = def.infer({types, attrs, regions});
  if (!inferred)
    fail("{}{}: {}; operands are ({})", def.name, where, inferred.error(), operand_text(types));
  for (const TensorType& t : *inferred) check_size(t, def, where);
  if (def.commutative && operands[1] < operands[0]) std::swap(operands[0], operands[1]);

  Node node{op,
            std::move(operands),
            std::move(attrs),
            *std::move(inferred),
            std::move(regions),
            std::move(name)};
  const uint64_t h = node_hash(node);
  const auto [first, last] = by_hash_.equal_range(h);
  for (auto it = first; it != last; ++it)
    if (same_node(nodes_[it->second], node)) return {it->second, 0};
  const auto id = static_cast<uint32_t>(nodes_.size());
  by_hash_.emplace(h, id);
  nodes_.push_back(std::move(node));
  return {id, 0};
}

void Graph::add_output(std::string name, Value value, int updates) {
  if (updates >= 0) {
    LATHE_ASSERT(updates < std::ssize(inputs_));
    const TensorType& old = inputs_[static_cast<size_t>(updates)].type;
    if (!(old == type(value)))
      fail("output '{}' of type {} cannot replace input '{}' of type {}", name, type(value).text(),
           inputs_[static_cast<size_t>(updates)].name, old.text());
  }
  outputs_.push_back({std::move(name), value, updates});
}

uint64_t Graph::node_hash(const Node& n) const {
  Hasher h;
  h.add(static_cast<uint64_t>(n.op));
  for (const Value& v : n.operands) h.add((static_cast<uint64_t>(v.node) << 32) | v.result);
  hash_attrs(n.attrs, h);
  for (const Region& r : n.regions) h.add(r->hash());
  return h.value();
}

uint64_t Graph::hash() const {
  Hasher h;
  for (const Node& n : nodes_) h.add(node_hash(n));
  for (const GraphInput& in : inputs_) {
    h.add(std::string_view(in.name));
    h.add(static_cast<uint64_t>(in.role));
  }
  for (const GraphOutput& out : outputs_) {
    h.add(std::string_view(out.name));
    h.add((static_cast<uint64_t>(out.value.node) << 32) | out.value.result);
    h.add(static_cast<uint64_t>(out.updates));
  }
  return h.value();
}

bool same_graph(const Graph& a, const Graph& b) {
  if (a.nodes().size() != b.nodes().size() || a.inputs().size() != b.inputs().size() ||
      a.outputs().size() != b.outputs().size())
    return false;
  for (size_t i = 0; i < a.outputs().size(); ++i)
    if (a.outputs()[i].value != b.outputs()[i].value ||
        a.outputs()[i].updates != b.outputs()[i].updates)
      return false;
  for (size_t i = 0; i < a.nodes().size(); ++i)
    if (!same_node(a.nodes()[i], b.nodes()[i])) return false;
  return true;
}

std::vector<std::string> free_symbols(const Graph& g) {
  std::vector<std::string> out;
  for (const GraphInput& in : g.inputs())
    for (const Dim& d : in.type.shape) d.collect_symbols(out);
  return out;
}

}  // namespace lathe
