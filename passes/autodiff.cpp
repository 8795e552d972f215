#include "passes/autodiff.h"

#include <algorithm>
#include <map>

#include "ir/op.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

// Nodes whose value depends on any of `wrt`.
std::vector<bool> depends_on(const Graph& g, const std::vector<Expr>& wrt) {
  std::vector<bool> mark(g.nodes().size(), false);
  for (const Expr& e : wrt) mark[e.value.node] = true;
  for (size_t i = 0; i < mark.size(); ++i)
    for (const Value& v : g.nodes()[i].operands)
      if (mark[v.node]) mark[i] = true;
  return mark;
}

class Backward {
 public:
  Backward(Graph& g, const std::vector<Expr>& wrt)
      : graph_(g), depends_(depends_on(g, wrt)), cotangents_(g.nodes().size()) {
    for (const Expr& e : wrt) wrt_.push_back(e.value);
  }

  void seed(Value v, const Expr& cotangent) {
    if (depends_[v.node]) accumulate(v, cotangent);
  }

  void run() {
    for (auto id = static_cast<uint32_t>(cotangents_.size()); id-- > 0;) {
      const auto& slots = cotangents_[id];
      const bool reached =
          std::any_of(slots.begin(), slots.end(), [](const Expr& e) { return e.defined(); });
      if (reached && depends_[id] && !graph_.nodes()[id].operands.empty()) visit(id);
    }
  }

  Expr cotangent(Value v) const {
    if (v.node < cotangents_.size() && v.result < cotangents_[v.node].size() &&
        cotangents_[v.node][v.result].defined())
      return cotangents_[v.node][v.result];
    return full_like({&graph_, v}, 0);
  }

  std::vector<std::pair<Value, Value>> replacements;

 private:
  void accumulate(Value v, const Expr& cotangent) {
    auto& slots = cotangents_[v.node];
    slots.resize(graph_.nodes()[v.node].types.size());
    Expr& slot = slots[v.result];
    LATHE_ASSERT(cotangent.type() == graph_.type(v), "cotangent {} of a value {}",
                 cotangent.type().text(), graph_.type(v).text());
    slot = slot.defined() ? add(slot, cotangent) : cotangent;
  }

  void visit(uint32_t id) {
    const Node n = graph_.nodes()[id];
    const OpDef& def = op_def(n.op);
    if (std::find(wrt_.begin(), wrt_.end(), Value{id, 0}) != wrt_.end() && def.arity == 0) return;
    std::vector<bool> wanted;
    for (const Value& v : n.operands)
      wanted.push_back(is_float(graph_.type(v).dtype) && depends_[v.node]);
    if (std::none_of(wanted.begin(), wanted.end(), [](bool w) { return w; })) return;
    if (def.vjp == nullptr)
      fail("no gradient through {}{}: {}", def.name,
           n.name.empty() ? "" : fmt::format(" (node '{}')", n.name), def.no_gradient);
    auto cotangents = cotangents_[id];
    cotangents.resize(n.types.size());
    Vjp vjp(graph_, id, std::move(cotangents), wanted, differentiate_region);
    def.vjp(vjp);
    for (size_t i = 0; i < n.operands.size(); ++i)
      if (vjp.given()[i].defined()) accumulate(n.operands[i], vjp.given()[i]);
    for (size_t r = 0; r < vjp.replaced().size(); ++r)
      replacements.emplace_back(Value{id, static_cast<uint32_t>(r)}, vjp.replaced()[r].value);
  }

  Graph& graph_;
  std::vector<bool> depends_;
  std::vector<std::vector<Expr>> cotangents_;
  std::vector<Value> wrt_;
};

}  // namespace

Gradients add_gradients(Graph& g, const std::vector<Expr>& outputs, const std::vector<Expr>& seeds,
                        const std::vector<Expr>& wrt) {
  LATHE_ASSERT(outputs.size() == seeds.size());
  Backward backward(g, wrt);
  for (size_t i = 0; i < outputs.size(); ++i) backward.seed(outputs[i].value, seeds[i]);
  backward.run();
  Gradients result;
  result.replacements = std::move(backward.replacements);
  for (const Expr& e : wrt) result.of.push_back(backward.cotangent(e.value));
  return result;
}

Graph apply_replacements(const Graph& g, const std::vector<GraphOutput>& outputs,
                         const std::vector<std::pair<Value, Value>>& replacements) {
  std::map<Value, Value> to(replacements.begin(), replacements.end());
  const auto final_value = [&](Value v) {
    for (auto it = to.find(v); it != to.end(); it = to.find(v)) v = it->second;
    return v;
  };
  // A replacement comes later in the list than the users of what it replaces, so the new order is
  // found by depth-first search from the outputs.
  Graph target(g.name());
  std::vector<uint32_t> map(g.nodes().size(), UINT32_MAX);
  for (const GraphInput& in : g.inputs())
    map[in.value.node] = target.add_input(in.name, in.type, in.role).node;
  std::vector<uint32_t> stack;
  const auto copy = [&](Value root) {
    stack.push_back(final_value(root).node);
    while (!stack.empty()) {
      const uint32_t id = stack.back();
      if (map[id] != UINT32_MAX) {
        stack.pop_back();
        continue;
      }
      const Node& n = g.nodes()[id];
      const size_t before = stack.size();
      std::vector<Value> operands;
      for (const Value& v : n.operands) {
        const Value f = final_value(v);
        if (map[f.node] == UINT32_MAX) stack.push_back(f.node);
        else operands.push_back({map[f.node], f.result});
      }
      if (stack.size() != before) continue;
      stack.pop_back();
      map[id] = target.add(n.op, std::move(operands), n.attrs, n.regions, n.name).node;
    }
  };
  for (const GraphOutput& out : outputs) {
    copy(out.value);
    const Value f = final_value(out.value);
    target.add_output(out.name, {map[f.node], f.result}, out.updates);
  }
  return target;
}

Graph gradient_graph(const Graph& g, int loss, const std::vector<int>& wrt) {
  Graph work = g;
  std::vector<Expr> inputs;
  for (int i : wrt) inputs.push_back({&work, work.inputs()[static_cast<size_t>(i)].value});
  const Expr root{&work, work.outputs()[static_cast<size_t>(loss)].value};
  if (root.rank() != 0)
    fail("the gradient is that of a scalar; output '{}' is {}",
         work.outputs()[static_cast<size_t>(loss)].name, root.type().text());
  const Gradients gradients = add_gradients(work, {root}, {full_like(root, 1)}, inputs);
  std::vector<GraphOutput> outputs = work.outputs();
  for (size_t k = 0; k < wrt.size(); ++k)
    outputs.push_back({fmt::format("d_{}", work.inputs()[static_cast<size_t>(wrt[k])].name),
                       gradients.of[k].value, -1});
  return apply_replacements(work, outputs, gradients.replacements);
}

void check_differentiable(const Graph& g, const std::vector<int>& of, const std::vector<int>& wrt) {
  std::vector<Value> roots;
  for (const int k : of) roots.push_back(g.outputs()[static_cast<size_t>(k)].value);
  const std::vector<bool> used = reachable(g, roots);
  std::vector<bool> depends(g.nodes().size(), false);
  for (const int k : wrt) depends[g.inputs()[static_cast<size_t>(k)].value.node] = true;
  for (size_t id = 0; id < depends.size(); ++id) {
    const Node& n = g.nodes()[id];
    const Value* integer = nullptr;
    bool other = false;
    for (const Value& v : n.operands) {
      if (!depends[v.node]) continue;
      depends[id] = true;
      if (is_integer(g.type(v).dtype)) integer = &v;
      else other = true;
    }
    if (!used[id] || integer == nullptr || other || !is_float(n.types[0].dtype)) continue;
    fail("no gradient through {}{}: its operand is {}, and integers have no derivative",
         op_def(n.op).name, n.name.empty() ? "" : fmt::format(" (node '{}')", n.name),
         g.type(*integer).text());
  }
}

RegionGradient differentiate_region(const Graph& region, const std::vector<bool>& wanted) {
  LATHE_ASSERT(wanted.size() == region.inputs().size());
  Graph work = region;
  const auto primal_nodes = static_cast<uint32_t>(work.nodes().size());
  RegionGradient result;
  std::vector<Expr> outputs, seeds, wrt;
  for (size_t i = 0; i < region.outputs().size(); ++i) {
    const Value v = region.outputs()[i].value;
    if (!is_float(region.type(v).dtype)) continue;
    result.float_outputs.push_back(static_cast<int>(i));
    outputs.push_back({&work, v});
    seeds.push_back(input(work, fmt::format("d_out{}", i), region.type(v)));
  }
  for (size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i]) wrt.push_back({&work, region.inputs()[i].value});
  const Gradients gradients = add_gradients(work, outputs, seeds, wrt);

  // The joint graph: primal outputs, then cotangents, with replaced nodes in place.
  std::vector<GraphOutput> joint_outputs = region.outputs();
  for (const Expr& e : gradients.of) joint_outputs.push_back({"d", e.value, -1});
  const Graph joint = apply_replacements(work, joint_outputs, gradients.replacements);
  (void)primal_nodes;

  // Forward part: what the primal outputs reach. It never depends on a cotangent input.
  std::vector<Value> primal_roots;
  for (size_t i = 0; i < region.outputs().size(); ++i)
    primal_roots.push_back(joint.outputs()[i].value);
  const std::vector<bool> primal = reachable(joint, primal_roots);
  const size_t region_inputs = region.inputs().size();

  // Saved: primal values that backward nodes use directly; inputs and constants are at hand anyway.
  std::vector<Value> backward_roots;
  for (size_t i = region.outputs().size(); i < joint.outputs().size(); ++i)
    backward_roots.push_back(joint.outputs()[i].value);
  const std::vector<bool> backward = reachable(joint, backward_roots);
  std::vector<Value> saved;
  const auto use = [&](Value v) {
    if (primal[v.node] && !joint.node(v).operands.empty() &&
        std::find(saved.begin(), saved.end(), v) == saved.end())
      saved.push_back(v);
  };
  for (uint32_t id = 0; id < joint.nodes().size(); ++id)
    if (backward[id] && !primal[id])
      for (const Value& v : joint.nodes()[id].operands) use(v);
  for (const Value& v : backward_roots) use(v);
  result.saved = static_cast<int>(saved.size());

  Graph forward(region.name());
  std::vector<Expr> arguments;
  for (size_t i = 0; i < region_inputs; ++i) {
    const GraphInput& in = region.inputs()[i];
    arguments.push_back(input(forward, in.name, in.type, in.role));
  }
  {
    std::vector<GraphOutput> wanted_outputs;
    for (size_t i = 0; i < region.outputs().size(); ++i)
      wanted_outputs.push_back(joint.outputs()[i]);
    for (const Value& v : saved) wanted_outputs.push_back({"saved", v, -1});
    std::vector<uint32_t> map(joint.nodes().size(), UINT32_MAX);
    for (size_t i = 0; i < region_inputs; ++i)
      map[joint.inputs()[i].value.node] = arguments[i].value.node;
    for (uint32_t id = 0; id < joint.nodes().size(); ++id) {
      if (!primal[id] || map[id] != UINT32_MAX) continue;
      const Node& n = joint.nodes()[id];
      std::vector<Value> operands;
      for (const Value& v : n.operands) operands.push_back({map[v.node], v.result});
      map[id] = forward.add(n.op, std::move(operands), n.attrs, n.regions, n.name).node;
    }
    for (const GraphOutput& out : wanted_outputs)
      forward.add_output(out.name, {map[out.value.node], out.value.result});
  }

  Graph reverse(region.name() + "_backward");
  {
    std::map<Value, Value> map;
    for (size_t i = region_inputs; i < joint.inputs().size(); ++i)
      map[joint.inputs()[i].value] =
          reverse.add_input(joint.inputs()[i].name, joint.inputs()[i].type);
    for (size_t i = 0; i < saved.size(); ++i)
      map[saved[i]] = reverse.add_input(fmt::format("saved{}", i), joint.type(saved[i]));
    for (size_t i = 0; i < region_inputs; ++i)
      map[joint.inputs()[i].value] =
          reverse.add_input(region.inputs()[i].name, region.inputs()[i].type);
    for (uint32_t id = 0; id < joint.nodes().size(); ++id) {
      const Node& n = joint.nodes()[id];
      const bool source = n.operands.empty();
      if (!backward[id] || (primal[id] && !source) || map.contains({id, 0})) continue;
      std::vector<Value> operands;
      for (const Value& v : n.operands) operands.push_back(map.at(v));
      const Value copy = reverse.add(n.op, std::move(operands), n.attrs, n.regions, n.name);
      for (uint32_t r = 0; r < n.types.size(); ++r) map[{id, r}] = {copy.node, r};
    }
    for (size_t i = 0; i < backward_roots.size(); ++i)
      reverse.add_output(fmt::format("d_in{}", i), map.at(backward_roots[i]));
  }
  result.forward = std::make_shared<const Graph>(std::move(forward));
  result.backward = std::make_shared<const Graph>(std::move(reverse));
  return result;
}

}  // namespace lathe
