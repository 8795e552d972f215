#include "tools/drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "ir/op.h"

namespace lathe::tools {
namespace {

// A composite goes by its own name.
std::string title(const Node& n) {
  if (const auto* c = std::get_if<CompositeAttrs>(&n.attrs)) return c->name;
  return std::string(op_def(n.op).name);
}

std::string types_text(const Node& n) {
  std::string out;
  for (const TensorType& t : n.types) out += (out.empty() ? "" : ", ") + t.text();
  return out;
}

std::string value_text(Value v) {
  return v.result == 0 ? fmt::format("%{}", v.node) : fmt::format("%{}.{}", v.node, v.result);
}

std::string node_line(const Graph& g, uint32_t id, const std::string& indent) {
  const Node& n = g.nodes()[id];
  std::string operands;
  for (const Value v : n.operands) operands += (operands.empty() ? "" : ", ") + value_text(v);
  std::string out =
      fmt::format("{}%{} = {}({}) : {}", indent, id, title(n), operands, types_text(n));
  if (!n.name.empty()) out += "  // " + n.name;
  return out + "\n";
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out;
}

constexpr std::string_view kDotHead =
    "  node [shape=box, style=\"rounded,filled\", fillcolor=\"#f4f4f4\", fontname=\"sans-serif\", "
    "fontsize=11]\n  edge [color=\"#888888\"]\n";

std::string box(std::string_view id, std::string_view label, std::string_view color) {
  return fmt::format("  {} [label=\"{}\", fillcolor=\"{}\"]\n", id, label, color);
}

std::string_view color_of(InputRole role) {
  return role == InputRole::Data ? "#cfe8cf" : role == InputRole::Parameter ? "#fde9c4" : "#e4d7f0";
}

// Inputs and outputs, and what stands between them as `middle`; `owner` names the box of a node.
std::string dot_page(const Graph& g, const std::string& middle,
                     const std::map<uint32_t, std::string>& owner) {
  std::string out = fmt::format("digraph \"{}\" {{\n{}", escaped(g.name()), kDotHead);
  for (const GraphInput& in : g.inputs())
    if (owner.contains(in.value.node))
      out += box(owner.at(in.value.node), escaped(in.name) + "\\n" + escaped(in.type.text()),
                 color_of(in.role));
  out += middle;
  for (size_t i = 0; i < g.outputs().size(); ++i) {
    const GraphOutput& o = g.outputs()[i];
    if (o.updates >= 0) continue;
    out += box(fmt::format("out{}", i), escaped(o.name) + "\\n" + escaped(g.type(o.value).text()),
               "#c9dcf2");
    if (owner.contains(o.value.node))
      out += fmt::format("  {} -> out{}\n", owner.at(o.value.node), i);
  }
  return out + "}\n";
}

std::map<uint32_t, std::string> input_boxes(const Graph& g) {
  std::map<uint32_t, std::string> owner;
  for (const GraphInput& in : g.inputs()) owner[in.value.node] = fmt::format("n{}", in.value.node);
  return owner;
}

bool is_small_constant(const Node& n) {
  return std::holds_alternative<ConstantAttrs>(n.attrs) && n.types[0].shape.rank() == 0;
}

std::string group_title(const Graph& g, const FusionGroup& group) {
  std::string out;
  for (const uint32_t id : group.nodes) {
    if (!out.empty()) out += ' ';
    out += title(g.nodes()[id]);
  }
  return out;
}

// A node's operands, looked up through nodes that are computed where they are read.
void sources(const Graph& g, uint32_t id, const std::map<uint32_t, std::string>& owner,
             std::set<std::string>& out) {
  for (const Value v : g.nodes()[id].operands) {
    if (const auto it = owner.find(v.node); it != owner.end()) out.insert(it->second);
    else sources(g, v.node, owner, out);
  }
}

}  // namespace

std::string outline(const Graph& g, const FusionPlan& plan) {
  std::string out = "graph " + g.name() + "\n";
  for (const int64_t step : plan.order) {
    if (step < 0) {
      out += "control\n" + node_line(g, static_cast<uint32_t>(~step), "  ");
      continue;
    }
    const FusionGroup& group = plan.groups[static_cast<size_t>(step)];
    out += fmt::format("group {} over [{}]\n", step, fmt::join(group.dims, ","));
    for (const uint32_t id : group.nodes) out += node_line(g, id, "  ");
  }
  return out;
}

std::string dot(const Graph& g) {
  std::map<uint32_t, std::string> owner = input_boxes(g);
  std::string middle;
  for (uint32_t id = 0; id < g.nodes().size(); ++id) {
    const Node& n = g.nodes()[id];
    if (owner.contains(id) || is_small_constant(n)) continue;
    owner[id] = fmt::format("n{}", id);
    const std::string name = n.name.empty() ? "" : escaped(n.name) + "\\n";
    middle += box(owner[id], name + escaped(title(n)) + "\\n" + escaped(types_text(n)), "#f4f4f4");
    for (const Value v : n.operands)
      if (owner.contains(v.node)) middle += fmt::format("  {} -> {}\n", owner[v.node], owner[id]);
  }
  return dot_page(g, middle, owner);
}

std::string dot(const Graph& g, const FusionPlan& plan) {
  std::map<uint32_t, std::string> owner = input_boxes(g);
  std::string middle;
  for (const int64_t step : plan.order) {
    const std::string id = step < 0 ? fmt::format("c{}", ~step) : fmt::format("g{}", step);
    std::vector<uint32_t> nodes;
    std::string label;
    if (step < 0) {
      nodes = {static_cast<uint32_t>(~step)};
      label = title(g.nodes()[nodes[0]]);
    } else {
      const FusionGroup& group = plan.groups[static_cast<size_t>(step)];
      nodes = group.nodes;
      label = fmt::format("{}\\n[{}]", escaped(group_title(g, group)), fmt::join(group.dims, ","));
    }
    std::set<std::string> from;
    for (const uint32_t node : nodes) owner[node] = id;
    for (const uint32_t node : nodes) sources(g, node, owner, from);
    middle += box(id, label, step < 0 ? "#f2c9c9" : "#f4f4f4");
    for (const std::string& source : from)
      if (source != id) middle += fmt::format("  {} -> {}\n", source, id);
  }
  return dot_page(g, middle, owner);
}

}  // namespace lathe::tools
