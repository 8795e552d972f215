#include "passes/rules.h"

#include <algorithm>

#include "ir/op.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

int64_t node_cost(const Node& n) {
  const OpDef& def = op_def(n.op);
  switch (def.cls) {
    case OpClass::Source: return 1;
    case OpClass::View: return def.same_bytes || n.op == OpId::broadcast ? 1 : 2;
    case OpClass::Elementwise: return n.types[0].rank() == 0 ? 2 : 6;
    default: return 12;
  }
}

// One walk over the graph, operands before users.
class Round {
 public:
  Round(std::span<const Rule> rules, RuleCounts* fired) : rules_(rules), fired_(fired) {}

  Graph run(const Graph& g) {
    return Rebuilder::run(
        g, [this](const Graph& source, uint32_t id, const std::vector<Expr>& operands,
                  Graph& target) { return visit(source.nodes()[id], operands, target); });
  }
  bool changed() const { return changed_; }

 private:
  std::optional<std::vector<Expr>> visit(const Node& n, const std::vector<Expr>& operands,
                                         Graph& target) {
    if (!n.regions.empty()) return with_simpler_regions(n, operands, target);
    if (n.types.size() != 1) return std::nullopt;
    const Site site{target, n.op, n.attrs, n.types[0], operands};
    for (const Rule& rule : rules_) {
      std::optional<Expr> result = rule.apply(site);
      if (!result) continue;
      LATHE_ASSERT(result->type() == n.types[0], "rule {} makes {} of {}", rule.name,
                   result->type().text(), n.types[0].text());
      changed_ = true;
      if (fired_ != nullptr) ++(*fired_)[rule.name];
      return std::vector<Expr>{*result};
    }
    return std::nullopt;
  }

  std::vector<Expr> with_simpler_regions(const Node& n, const std::vector<Expr>& operands,
                                         Graph& target) const {
    std::vector<Region> regions;
    for (const Region& r : n.regions)
      regions.push_back(std::make_shared<const Graph>(apply_rules(*r, rules_, fired_)));
    std::vector<Value> values;
    for (const Expr& e : operands) values.push_back(e.value);
    const Value v = target.add(n.op, std::move(values), n.attrs, std::move(regions), n.name);
    std::vector<Expr> out;
    for (uint32_t r = 0; r < n.types.size(); ++r) out.push_back({&target, {v.node, r}});
    return out;
  }

  std::span<const Rule> rules_;
  RuleCounts* fired_;
  bool changed_ = false;
};

std::vector<Rule> rules_that_are_on() {
  std::vector<Rule> out;
  for (std::span<const Rule> table : {arithmetic_rules(), view_rules()})
    std::ranges::copy_if(table, std::back_inserter(out),
                         [](const Rule& r) { return r.exactness != Exactness::Approximate; });
  return out;
}

}  // namespace

Measure measure(const Graph& g) {
  std::vector<Value> roots;
  for (const GraphOutput& out : g.outputs()) roots.push_back(out.value);
  const std::vector<bool> live = reachable(g, roots);
  std::vector<int64_t> depth(g.nodes().size(), 0);
  Measure m;
  for (size_t id = 0; id < live.size(); ++id) {
    const Node& n = g.nodes()[id];
    if (!live[id] || n.op == OpId::parameter) continue;
    for (const Value& v : n.operands) depth[id] = std::max(depth[id], depth[v.node] + 1);
    m.cost += node_cost(n);
    m.size += 1;
    m.depth += depth[id];
    m.reads += std::ssize(n.operands);
    for (const Region& r : n.regions) {
      const Measure inner = measure(*r);
      m.cost += inner.cost;
      m.size += inner.size;
      m.depth += inner.depth;
      m.reads += inner.reads;
    }
  }
  return m;
}

Graph apply_rules(const Graph& g, std::span<const Rule> rules, RuleCounts* fired) {
  Graph current = g;
  for (Measure before = measure(g);;) {
    Round round(rules, fired);
    current = round.run(current);
    if (!round.changed()) return current;
    const Measure after = measure(current);
    LATHE_ASSERT(after < before, "rules did not lower cost {}, size {}, depth {}: now {}, {}, {}",
                 before.cost, before.size, before.depth, after.cost, after.size, after.depth);
    before = after;
  }
}

Graph simplify(const Graph& g) {
  static const std::vector<Rule> rules = rules_that_are_on();
  return apply_rules(g, rules);
}

}  // namespace lathe
