#include "passes/rebuild.h"

#include <algorithm>

#include "ir/op.h"

namespace lathe {

std::vector<bool> reachable(const Graph& g, const std::vector<Value>& roots) {
  std::vector<bool> mark(g.nodes().size(), false);
  for (const Value& v : roots) mark[v.node] = true;
  for (size_t i = g.nodes().size(); i-- > 0;)
    if (mark[i])
      for (const Value& v : g.nodes()[i].operands) mark[v.node] = true;
  return mark;
}

Graph Rebuilder::run(const Graph& source, const Visit& visit) {
  return run(source, source.outputs(), visit);
}

Graph Rebuilder::run(const Graph& source, const std::vector<GraphOutput>& outputs,
                     const Visit& visit) {
  Graph target(source.name());
  std::vector<std::vector<Expr>> map(source.nodes().size());
  for (const GraphInput& in : source.inputs())
    map[in.value.node] = {{&target, target.add_input(in.name, in.type, in.role)}};

  std::vector<Value> roots;
  for (const GraphOutput& out : outputs) roots.push_back(out.value);
  const std::vector<bool> live = reachable(source, roots);
  for (uint32_t id = 0; id < source.nodes().size(); ++id) {
    const Node& n = source.nodes()[id];
    if (!live[id] || !map[id].empty()) continue;
    std::vector<Expr> operands;
    for (const Value& v : n.operands) operands.push_back(map[v.node][v.result]);
    target.set_current_name(n.name);
    if (visit)
      if (auto replaced = visit(source, id, operands, target)) {
        map[id] = *std::move(replaced);
        LATHE_ASSERT(map[id].size() == n.types.size());
        continue;
      }
    std::vector<Value> values;
    for (const Expr& e : operands) values.push_back(e.value);
    const Value v = target.add(n.op, std::move(values), n.attrs, n.regions, n.name);
    for (uint32_t r = 0; r < n.types.size(); ++r) map[id].push_back({&target, {v.node, r}});
  }
  target.set_current_name({});
  for (const GraphOutput& out : outputs)
    target.add_output(out.name, map[out.value.node][out.value.result].value, out.updates);
  return target;
}

Graph map_regions(const Graph& g, const std::function<Graph(const Graph&)>& fn) {
  return Rebuilder::run(
      g,
      [&](const Graph& source, uint32_t id, const std::vector<Expr>& operands,
          Graph& target) -> std::optional<std::vector<Expr>> {
        const Node& n = source.nodes()[id];
        if (n.regions.empty()) return std::nullopt;
        std::vector<Region> regions;
        for (const Region& r : n.regions)
          regions.push_back(std::make_shared<const Graph>(fn(map_regions(*r, fn))));
        std::vector<Value> values;
        for (const Expr& e : operands) values.push_back(e.value);
        const Value v = target.add(n.op, std::move(values), n.attrs, std::move(regions), n.name);
        std::vector<Expr> out;
        for (uint32_t r = 0; r < n.types.size(); ++r) out.push_back({&target, {v.node, r}});
        return out;
      });
}

namespace {

Graph bind_graph(const Graph& g, const DimBinding& binding) {
  Graph target(g.name());
  std::vector<uint32_t> map(g.nodes().size(), UINT32_MAX);
  for (const GraphInput& in : g.inputs())
    map[in.value.node] =
        target.add_input(in.name, {in.type.dtype, in.type.shape.bind(binding)}, in.role).node;
  for (uint32_t id = 0; id < g.nodes().size(); ++id) {
    if (map[id] != UINT32_MAX) continue;
    const Node& n = g.nodes()[id];
    std::vector<Value> operands;
    for (const Value& v : n.operands) operands.push_back({map[v.node], v.result});
    std::vector<Region> regions;
    for (const Region& r : n.regions)
      regions.push_back(std::make_shared<const Graph>(bind_graph(*r, binding)));
    map[id] = target
                  .add(n.op, std::move(operands), bind_attrs(n.attrs, binding), std::move(regions),
                       n.name)
                  .node;
  }
  for (const GraphOutput& out : g.outputs())
    target.add_output(out.name, {map[out.value.node], out.value.result}, out.updates);
  return target;
}

std::string quoted_list(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& n : names) out += (out.empty() ? "'" : ", '") + n + "'";
  return out;
}

}  // namespace

Graph bind_dims(const Graph& g, const DimBinding& binding) {
  const std::vector<std::string> symbols = free_symbols(g);
  std::vector<std::string> missing;
  for (const std::string& s : symbols)
    if (!binding.contains(s)) missing.push_back(s);
  if (!missing.empty())
    fail("graph '{}': dimension {} has no value; give it with --dim {}=N", g.name(),
         quoted_list(missing), missing[0]);
  for (const auto& [name, value] : binding)
    if (std::find(symbols.begin(), symbols.end(), name) == symbols.end())
      fail("graph '{}' has no dimension '{}'; it has {}", g.name(), name,
           symbols.empty() ? "none that is free" : quoted_list(symbols));
  return bind_graph(g, binding);
}

}  // namespace lathe
