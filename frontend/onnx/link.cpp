#include "frontend/onnx/link.h"

#include <algorithm>
#include <queue>
#include <unordered_set>

namespace lathe::onnx {
namespace {

bool is_gradient(const NodeDef& node) {
  return node.domain == "ai.onnx.preview.training" && node.op == "Gradient";
}

std::string place(const GraphDef& graph, const NodeDef& node, const std::string& path) {
  return fmt::format("{}: graph '{}': node '{}' ({})", path, graph.name, node.name, node.op);
}

// The node that defines each name; throws for names defined twice.
std::unordered_map<std::string, size_t> definitions(const GraphDef& graph,
                                                    const std::string& path) {
  std::unordered_set<std::string> given;
  for (const ValueDef& in : graph.inputs)
    if (!given.insert(in.name).second)
      fail("{}: graph '{}': two inputs are called '{}'", path, graph.name, in.name);
  std::unordered_set<std::string> initialized;
  for (const auto& [name, tensor] : graph.initializers) {
    if (!initialized.insert(name).second)
      fail("{}: graph '{}': two initializers are called '{}'", path, graph.name, name);
    given.insert(name);
  }
  std::unordered_map<std::string, size_t> out;
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const std::string& name : graph.nodes[i].outputs)
      if (!name.empty() && (given.contains(name) || !out.emplace(name, i).second))
        fail("{}: its output '{}' is defined twice", place(graph, graph.nodes[i], path), name);
  return out;
}

// Positions of the nodes in an order where each follows what it reads, else as they stand.
std::vector<size_t> topological_order(const GraphDef& graph,
                                      const std::unordered_map<std::string, size_t>& defined,
                                      const std::string& path) {
  const size_t n = graph.nodes.size();
  std::vector<std::vector<size_t>> readers(n);
  std::vector<size_t> waits(n, 0);
  for (size_t i = 0; i < n; ++i)
    for (const std::string& name : names_read(graph.nodes[i]))
      if (const auto it = defined.find(name); it != defined.end()) {
        readers[it->second].push_back(i);
        ++waits[i];
      }
  std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
  for (size_t i = 0; i < n; ++i)
    if (waits[i] == 0) ready.push(i);
  std::vector<size_t> order;
  while (!ready.empty()) {
    const size_t i = ready.top();
    ready.pop();
    order.push_back(i);
    for (const size_t reader : readers[i])
      if (--waits[reader] == 0) ready.push(reader);
  }
  if (order.size() < n) {
    const auto stuck = std::find_if(waits.begin(), waits.end(), [](size_t w) { return w > 0; });
    fail("{}: it needs its own result: the graph has a cycle",
         place(graph, graph.nodes[static_cast<size_t>(stuck - waits.begin())], path));
  }
  return order;
}

// Some exporters write a constant twice under one name. The last one holds, as in ONNX Runtime.
void drop_overridden_constants(GraphDef& graph) {
  std::unordered_set<std::string> seen;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node)
    if (node->op == "Constant" && node->domain.empty() && node->outputs.size() == 1 &&
        !seen.insert(node->outputs[0]).second)
      node->op.clear();
  std::erase_if(graph.nodes, [](const NodeDef& node) {
    return node.op.empty() && node.domain.empty() && node.outputs.size() == 1;
  });
}

}  // namespace

std::vector<std::string> names_read(const NodeDef& node) {
  std::vector<std::string> out;
  for (const std::string& input : node.inputs)
    if (!input.empty()) out.push_back(input);
  for (const AttributeDef& a : node.attributes)
    if (a.graph) out.insert(out.end(), a.graph->captures.begin(), a.graph->captures.end());
  // What a Gradient differentiates, it refers to by name.
  if (is_gradient(node))
    if (const AttributeDef* y = node.find("y")) out.push_back(y->s);
  return out;
}

void link_graph(GraphDef& graph, const std::string& path) {
  drop_overridden_constants(graph);
  const auto defined = definitions(graph, path);
  std::vector<NodeDef> sorted;
  for (const size_t i : topological_order(graph, defined, path))
    sorted.push_back(std::move(graph.nodes[i]));
  graph.nodes = std::move(sorted);

  for (size_t i = 0; i < graph.initializers.size(); ++i)
    graph.initializer_index[graph.initializers[i].first] = i;
  std::unordered_set<std::string> known;
  for (const ValueDef& in : graph.inputs) known.insert(in.name);
  for (const auto& [name, tensor] : graph.initializers) known.insert(name);
  const auto use = [&](const std::string& name, size_t at) {
    graph.last_use[name] = at;
    if (!defined.contains(name) && known.insert(name).second) graph.captures.push_back(name);
  };
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    for (const std::string& name : names_read(graph.nodes[i])) use(name, i);
  for (size_t i = 0; i < graph.nodes.size(); ++i)  // it may read any value again
    if (is_gradient(graph.nodes[i]))
      for (auto& [name, at] : graph.last_use) at = std::max(at, i);
  for (const ValueDef& out : graph.outputs)
    if (!out.name.empty()) use(out.name, graph.nodes.size());
}

GraphDef part_between(const GraphDef& graph, const std::vector<std::string>& from,
                      const std::string& to, const std::string& path) {
  const auto any_in = [](const std::unordered_set<std::string>& set,
                         const std::vector<std::string>& names) {
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& name) { return set.contains(name); });
  };
  const std::unordered_set<std::string> given(from.begin(), from.end());
  std::unordered_set<std::string> dependent = given, needed = {to};
  std::vector<const NodeDef*> between;
  for (const NodeDef& node : graph.nodes) {
    if (any_in(given, node.outputs) || !any_in(dependent, names_read(node))) continue;
    between.push_back(&node);
    dependent.insert(node.outputs.begin(), node.outputs.end());
  }
  GraphDef out;
  out.name = graph.name;
  for (auto node = between.rbegin(); node != between.rend(); ++node) {
    if (!any_in(needed, (*node)->outputs)) continue;
    out.nodes.insert(out.nodes.begin(), **node);
    for (const std::string& name : names_read(**node)) needed.insert(name);
  }
  for (const std::string& name : from) out.inputs.emplace_back().name = name;
  out.outputs.emplace_back().name = to;
  link_graph(out, path);
  return out;
}

void check_closed(const GraphDef& graph, const std::string& path) {
  if (graph.captures.empty()) return;
  const std::string& missing = graph.captures.front();
  for (const NodeDef& node : graph.nodes) {
    const std::vector<std::string> read = names_read(node);
    if (std::find(read.begin(), read.end(), missing) != read.end())
      fail("{}: it reads '{}', which nothing defines", place(graph, node, path), missing);
  }
  fail("{}: graph '{}': its output '{}' is defined nowhere", path, graph.name, missing);
}

}  // namespace lathe::onnx
