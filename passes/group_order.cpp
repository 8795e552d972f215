#include "passes/group_order.h"

namespace lathe {
namespace {

// What must be computed before a kernel that reads v, looking through inlined nodes, but for
// members of `own`.
void add_needed(const Graph& g, const FusionPlan& plan, Value v, int own,
                std::vector<uint32_t>& out) {
  if (plan.group_of[v.node] == own && own >= 0) return;
  if (plan.disposition[v.node] != Disposition::Inline) return out.push_back(v.node);
  for (const Value& operand : g.nodes()[v.node].operands) add_needed(g, plan, operand, own, out);
}

}  // namespace

std::vector<int64_t> order_groups(const Graph& graph, const FusionPlan& plan,
                                  const std::vector<bool>& live) {
  const auto count = static_cast<uint32_t>(graph.nodes().size());
  std::vector<int64_t> order;
  std::vector<bool> placed_group(plan.groups.size(), false), placed_node(count, false);
  const auto placed = [&](uint32_t id) {
    const int g = plan.group_of[id];
    return g >= 0 ? placed_group[static_cast<size_t>(g)] : placed_node[id];
  };
  std::vector<uint32_t> stack;
  for (uint32_t root = 0; root < count; ++root) {
    if (live[root] && plan.disposition[root] != Disposition::Inline) stack.push_back(root);
    while (!stack.empty()) {
      const uint32_t id = stack.back();
      if (placed(id)) {
        stack.pop_back();
        continue;
      }
      const int g = plan.group_of[id];
      std::vector<uint32_t> needed;
      const std::vector<uint32_t> alone = {id};
      for (uint32_t member : g >= 0 ? plan.groups[static_cast<size_t>(g)].nodes : alone)
        for (const Value& v : graph.nodes()[member].operands) add_needed(graph, plan, v, g, needed);
      std::erase_if(needed, placed);
      LATHE_ASSERT(stack.size() < 64 * static_cast<size_t>(count) + 64, "fusion made a cycle");
      if (!needed.empty()) {
        stack.insert(stack.end(), needed.begin(), needed.end());
        continue;
      }
      stack.pop_back();
      if (g >= 0) {
        placed_group[static_cast<size_t>(g)] = true;
        order.push_back(g);
      } else {
        placed_node[id] = true;
        if (plan.disposition[id] == Disposition::Step) order.push_back(~static_cast<int64_t>(id));
      }
    }
  }
  return order;
}

}  // namespace lathe
