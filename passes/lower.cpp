#include "passes/lower.h"

#include <algorithm>
#include <map>
#include <set>

#include "ir/kernel_text.h"
#include "ir/lowering.h"
#include "ir/op.h"
#include "passes/fuse.h"
#include "passes/kernel_passes.h"
#include "passes/pipeline.h"
#include "passes/program_use.h"

namespace lathe {
namespace {

// Iterations from which a loop is split among threads rather than its kernels: as many threads as
// are common get even shares.
constexpr int64_t kIndependent = 8;

// One graph or region on its way into steps.
struct Scope {
  const Graph& graph;
  FusionPlan fusion;
  std::map<Value, BufferRef> home = {};                       // where a value is
  std::map<Value, std::vector<BufferRef>> destinations = {};  // where outputs must end up
  std::set<Value> delivered = {};  // outputs already stored to all their destinations
  std::vector<Step> steps = {};

  Dims dims(Value v) const { return graph.type(v).shape.static_dims(); }
  const Node& node(uint32_t id) const { return graph.nodes()[id]; }
};

int64_t bytes_of(const TensorType& t) { return t.shape.element_count() * byte_size(t.dtype); }

Step copy_step(BufferRef from, BufferRef to, int64_t bytes) {
  Step s;
  s.kind = StepKind::Copy;
  s.bytes = bytes;
  s.args = {std::move(from), std::move(to)};
  return s;
}

std::string group_label(const Graph& g, const FusionGroup& group) {
  std::string out;
  for (uint32_t id : group.nodes) {
    if (out.size() > 60) return out + "..";
    if (!out.empty()) out.append("+");
    out.append(op_def(g.nodes()[id].op).name);
  }
  return out;
}

class ProgramBuilder {
 public:
  explicit ProgramBuilder(const Target& target) : target_(target) {}

  Program run(const Graph& g) {
    program_.name = g.name();
    Plan& plan = program_.plan;
    std::vector<BufferRef> arguments;
    for (const GraphInput& in : g.inputs()) {
      const int index = static_cast<int>(plan.inputs.size());
      const int buffer = new_buffer(BufferKind::Input, index, bytes_of(in.type), in.name);
      plan.inputs.push_back({in.name, in.type.dtype, in.type.shape.static_dims(), buffer});
      arguments.push_back({buffer, 0, {}});
    }
    // An output that replaces an input is computed aside and copied last; passes/in_place.cpp
    // removes the detour where it can.
    std::vector<BufferRef> places;
    std::vector<Step> updates;
    for (const GraphOutput& out : g.outputs()) {
      const TensorType& type = g.type(out.value);
      const int index = static_cast<int>(plan.outputs.size());
      Port port{out.name, type.dtype, type.shape.static_dims(), -1, out.updates};
      if (out.updates >= 0) {
        port.buffer = plan.inputs[static_cast<size_t>(out.updates)].buffer;
        places.push_back(temporary(type, out.name));
        updates.push_back(copy_step(places.back(), {port.buffer, 0, {}}, bytes_of(type)));
      } else {
        port.buffer = new_buffer(BufferKind::Output, index, bytes_of(type), out.name);
        places.push_back({port.buffer, 0, {}});
      }
      plan.outputs.push_back(std::move(port));
    }
    plan.steps = lower_graph(g, arguments, places);
    std::move(updates.begin(), updates.end(), std::back_inserter(plan.steps));
    plan.kernels = static_cast<int>(program_.kernels.size());
    return std::move(program_);
  }

 private:
  int new_buffer(BufferKind kind, int index, int64_t bytes, std::string name) {
    program_.plan.buffers.push_back({std::move(name), kind, index, bytes, 0});
    return static_cast<int>(program_.plan.buffers.size()) - 1;
  }
  BufferRef temporary(const TensorType& type, const std::string& name) {
    return {new_buffer(BufferKind::Arena, 0, bytes_of(type), name), 0, {}};
  }
  BufferRef constant_buffer(const Tensor& t) {
    const auto [found, fresh] = constant_ids_.emplace(std::pair(t.stored(), t.bytes()), -1);
    if (fresh) {
      const int index = static_cast<int>(program_.plan.constants.size());
      program_.plan.constants.push_back(t);
      found->second = new_buffer(BufferKind::Constant, index, t.bytes(), "");
    }
    return {found->second, 0, {}};
  }

  // Output k is written to destinations[k]; arguments[i] is where input i is.
  std::vector<Step> lower_graph(const Graph& g, const std::vector<BufferRef>& arguments,
                                const std::vector<BufferRef>& destinations) {
    Scope scope{g, fuse(g)};
    for (size_t i = 0; i < arguments.size(); ++i) scope.home[g.inputs()[i].value] = arguments[i];
    // What has the same bytes as the output is computed in its place.
    const auto origin = [&](Value v) {
      while (scope.fusion.disposition[v.node] == Disposition::Alias) v = g.node(v).operands[0];
      return v;
    };
    for (size_t k = 0; k < destinations.size(); ++k)
      scope.destinations[origin(g.outputs()[k].value)].push_back(destinations[k]);
    for (uint32_t id = 0; id < g.nodes().size(); ++id)
      if (scope.fusion.disposition[id] == Disposition::External)
        if (const auto* c = std::get_if<ConstantAttrs>(&scope.node(id).attrs))
          scope.home[{id, 0}] = constant_buffer(c->value);
    for (int64_t item : scope.fusion.order) {
      if (item >= 0) lower_group(scope, scope.fusion.groups[static_cast<size_t>(item)]);
      else lower_step(scope, static_cast<uint32_t>(~item));
    }
    for (const auto& [v, places] : scope.destinations) {
      if (scope.delivered.contains(v)) continue;
      const BufferRef from = home_of(scope, v);
      for (const BufferRef& to : places)
        if (!same_place(to, from)) scope.steps.push_back(copy_step(from, to, bytes_of(g.type(v))));
    }
    return std::move(scope.steps);
  }

  BufferRef home_of(Scope& scope, Value v) {
    const auto found = scope.home.find(v);
    if (found != scope.home.end()) return found->second;
    LATHE_ASSERT(scope.fusion.disposition[v.node] == Disposition::Alias,
                 "value %{} ({}) of '{}' has no place", v.node, op_def(scope.node(v.node).op).name,
                 scope.graph.name());
    return scope.home[v] = home_of(scope, scope.graph.node(v).operands[0]);
  }

  // The places v must be written to; the first becomes its home.
  std::vector<BufferRef> places_of(Scope& scope, Value v) {
    std::vector<BufferRef> places;
    const auto found = scope.destinations.find(v);
    if (found != scope.destinations.end()) places = found->second;
    if (places.empty()) places.push_back(temporary(scope.graph.type(v), scope.graph.node(v).name));
    scope.home[v] = places[0];
    return places;
  }

  static std::set<uint32_t> inlined(const Scope& scope, const FusionGroup& group) {
    std::set<uint32_t> ids = scope.fusion.inlined;
    ids.insert(group.nodes.begin(), group.nodes.end());
    return ids;
  }

  // One result of a kernel: a scalar, the value it is an element of, and which.
  struct Result {
    ScalarId id;
    Value value;
    Index at;
  };
  using Results = std::vector<Result>;

  void lower_group(Scope& scope, const FusionGroup& group) {
    if (group.core >= 0) {
      const auto core = static_cast<uint32_t>(group.core);
      const OpClass cls = op_def(scope.node(core).op).cls;
      if (cls == OpClass::Scatter) return lower_scatter(scope, group, core);
      if (cls == OpClass::Cumulative) return lower_cumulative(scope, group, core);
    }
    Lowering low(scope.graph, inlined(scope, group), group.dims);
    const Index at = low.parallel_index();
    Results results;
    for (const Value& v : group.outputs) {
      const Dims dims = scope.dims(v);
      Index here = dims == group.dims ? at : low.delinearize(low.linear(at, group.dims), dims);
      const ScalarId id = low.pull(v, here);
      results.push_back({id, v, std::move(here)});
    }
    store_results(scope, low, results, group_label(scope.graph, group));
  }

  void lower_cumulative(Scope& scope, const FusionGroup& group, uint32_t core) {
    const auto& attrs = std::get<CumulativeAttrs>(scope.node(core).attrs);
    Dims par = scope.dims({core, 0});
    const int64_t extent = par[static_cast<size_t>(attrs.axis)];
    par.erase(par.begin() + attrs.axis);
    Lowering low(scope.graph, inlined(scope, group), par);
    Index at = low.parallel_index();
    IndexExpr along = low.cumulative_index(extent, attrs.exclusive);
    if (attrs.reverse) along = along * -1 + IndexExpr(extent - 1);
    at.axes.insert(at.axes.begin() + attrs.axis, AxisIndex(along));
    store_results(scope, low, {{low.pull({core, 0}, at), {core, 0}, at}},
                  group_label(scope.graph, group));
  }

  // The base is copied to the result's place, then the updates are combined into it.
  void lower_scatter(Scope& scope, const FusionGroup& group, uint32_t core) {
    const Node& n = scope.node(core);
    const Value result{core, 0}, base = n.operands[0];
    const std::vector<BufferRef> places = places_of(scope, result);
    if (scope.fusion.disposition[base.node] == Disposition::Inline) {
      Lowering fill(scope.graph, scope.fusion.inlined, scope.dims(base));
      const Index at = fill.parallel_index();
      const ScalarId value = fill.pull(base, at);
      const int slot = fill.add_operand(base, OperandRole::Out);
      fill.store(slot, at, scope.dims(base), value);
      add_call(scope, fill, "fill", {{slot, places[0]}});
    } else {
      scope.steps.push_back(
          copy_step(home_of(scope, base), places[0], bytes_of(scope.graph.type(base))));
    }
    const int64_t axis = std::get<AxisAttrs>(n.attrs).axis;
    const int index_rank = scope.graph.type(n.operands[1]).rank();
    Dims window = scope.dims(n.operands[2]);
    window.erase(window.begin() + axis, window.begin() + axis + index_rank);
    Lowering low(scope.graph, inlined(scope, group), window);
    const int slot = low.add_operand(result, OperandRole::InOut);
    LATHE_ASSERT(slot == 0);
    op_def(n.op).lower(low, n, 0, low.parallel_index());
    add_call(scope, low, group_label(scope.graph, group), {{slot, places[0]}});
  }

  void store_results(Scope& scope, Lowering& low, const Results& results, std::string label) {
    std::map<int, BufferRef> targets;
    for (const auto& [id, v, at] : results) {
      for (const BufferRef& place : places_of(scope, v)) {
        const int slot = low.add_operand(v, OperandRole::Out);
        low.store(slot, at, scope.dims(v), id);
        targets[slot] = place;
      }
      scope.delivered.insert(v);
    }
    add_call(scope, low, std::move(label), targets);
  }

  // `targets` are the operands that are written; the others are where their values live.
  void add_call(Scope& scope, Lowering& low, std::string label,
                const std::map<int, BufferRef>& targets) {
    std::vector<Value> values;
    Kernel kernel = low.finish(&values);
    if (kernel.points() == 0 || (kernel.core == Core::Scatter && kernel.steps() == 0)) return;
    kernel.label = std::move(label);
    Step step;
    for (size_t i = 0; i < values.size(); ++i) {
      const auto target = targets.find(static_cast<int>(i));
      step.args.push_back(target != targets.end() ? target->second : home_of(scope, values[i]));
    }
    step.kernel = intern(std::move(kernel));
    scope.steps.push_back(std::move(step));
  }

  int intern(Kernel kernel) {
    for (const KernelPass& pass : kernel_passes()) pass.run(kernel);
    const auto [found, fresh] = by_text_.emplace(std::pair(print_kernel(kernel), independent_),
                                                 static_cast<int>(program_.kernels.size()));
    if (fresh) {
      KernelSchedule schedule = choose_schedule(kernel, target_);
      if (independent_) schedule.parallel = -1, schedule.grain = 1;  // the loop has the threads
      program_.add(std::move(kernel), schedule);
    }
    return found->second;
  }

  void lower_step(Scope& scope, uint32_t id) {
    const Node& n = scope.node(id);
    if (const auto* sort = std::get_if<SortAttrs>(&n.attrs)) lower_sort(scope, id, *sort);
    else if (const auto* attrs = std::get_if<ScanAttrs>(&n.attrs)) lower_scan(scope, id, *attrs);
    else if (const auto* loop = std::get_if<WhileAttrs>(&n.attrs)) lower_while(scope, id, *loop);
    else if (n.regions.size() == 2) lower_if(scope, id);
    else fail_internal(__FILE__, __LINE__, "composites are inlined before lowering", "");
  }

  void lower_sort(Scope& scope, uint32_t id, const SortAttrs& attrs) {
    const Value x = scope.node(id).operands[0];
    const TensorType& type = scope.graph.type(x);
    const int64_t length = scope.dims(x).back(), count = attrs.count.value();
    const std::vector<BufferRef> places = places_of(scope, {id, 0});
    if (count == 0 || type.shape.element_count() == 0) return;
    Step step;
    step.kind = StepKind::Sort;
    step.sort = {type.dtype, type.shape.element_count() / length, length, count, attrs.descending};
    step.args = {home_of(scope, x), places[0]};
    scope.steps.push_back(std::move(step));
  }

  // Two slots that a loop alternates between: iteration i reads slot i & 1 and writes the other.
  struct Carry {
    BufferRef init, read, write;
    int64_t bytes;
  };

  Carry make_carry(Scope& scope, Value init, int loop) {
    const TensorType& type = scope.graph.type(init);
    const int64_t bytes = bytes_of(type);
    const int64_t slot = (bytes + 63) / 64 * 64;
    const int buffer = new_buffer(BufferKind::Arena, 0, 2 * slot, "carry");
    Carry c{{buffer, 0, {}},
            {buffer, 0, {{loop, slot, true}}},
            {buffer, slot, {{loop, -slot, true}}},
            bytes};
    scope.steps.push_back(copy_step(home_of(scope, init), c.init, bytes));
    return c;
  }

  // Iterations of a scan without carries, and of those that are all it does.
  static int64_t independent_iterations(const Node& n) {
    const auto* a = std::get_if<ScanAttrs>(&n.attrs);
    if (!a || a->carries > 0) return 1;
    const Graph& body = *n.regions[0];
    const Node* only = nullptr;
    for (const Node& inner : body.nodes()) {
      const OpDef& def = op_def(inner.op);
      if (def.cls == OpClass::Source || def.same_bytes) continue;
      if (only) return a->length.value();
      only = &inner;
    }
    return a->length.value() * (only ? independent_iterations(*only) : 1);
  }

  // Results whose home is elsewhere than where the caller wants them are copied there at the end.
  void lower_scan(Scope& scope, uint32_t id, const ScanAttrs& attrs) {
    const Node& n = scope.node(id);
    const Graph& body = *n.regions[0];
    const int loop = program_.plan.loops++;
    const int64_t length = attrs.length.value();
    const auto carries = static_cast<size_t>(attrs.carries);
    const auto scanned = static_cast<size_t>(attrs.scanned);
    // The part of a stacked tensor that belongs to the current iteration.
    const auto part = [&](BufferRef whole, int64_t bytes) {
      if (attrs.reverse) whole.offset += bytes * (length - 1);
      whole.terms.push_back({loop, attrs.reverse ? -bytes : bytes, false});
      return whole;
    };
    std::vector<BufferRef> arguments, destinations;
    std::vector<Carry> slots;
    for (size_t i = 0; i < n.operands.size(); ++i) {
      const int64_t bytes = bytes_of(body.inputs()[i].type);
      if (i < carries) {
        slots.push_back(make_carry(scope, n.operands[i], loop));
        arguments.push_back(slots.back().read);
      } else {
        const BufferRef home = home_of(scope, n.operands[i]);
        arguments.push_back(i < carries + scanned ? part(home, bytes) : home);
      }
    }
    for (uint32_t r = 0; r < n.types.size(); ++r) {
      const Value v{id, r};
      if (r < carries) {
        destinations.push_back(slots[r].write);
        scope.home[v] = {slots[r].init.buffer, length % 2 == 0 ? 0 : slots[r].write.offset, {}};
      } else {
        destinations.push_back(
            part(places_of(scope, v)[0], bytes_of(body.type(body.outputs()[r].value))));
      }
    }
    Step step;
    step.kind = StepKind::Loop;
    step.loop = loop;
    step.count = length;
    const bool outer = independent_;
    step.independent = carries == 0 && (outer || independent_iterations(n) >= kIndependent);
    independent_ = outer || step.independent;
    step.body = lower_graph(body, arguments, destinations);
    independent_ = outer;
    scope.steps.push_back(std::move(step));
  }

  void lower_while(Scope& scope, uint32_t id, const WhileAttrs& attrs) {
    const Node& n = scope.node(id);
    const int loop = program_.plan.loops++;
    std::vector<BufferRef> arguments, destinations;
    for (size_t i = 0; i < n.operands.size(); ++i) {
      if (static_cast<int64_t>(i) < attrs.carries) {
        const Carry c = make_carry(scope, n.operands[i], loop);
        arguments.push_back(c.read);
        destinations.push_back(c.write);
        scope.home[{id, static_cast<uint32_t>(i)}] = c.read;
      } else {
        arguments.push_back(home_of(scope, n.operands[i]));
      }
    }
    Step step;
    step.kind = StepKind::While;
    step.loop = loop;
    step.args = {temporary(n.regions[0]->type(n.regions[0]->outputs()[0].value), "condition")};
    step.other = lower_graph(*n.regions[0], arguments, step.args);
    step.body = lower_graph(*n.regions[1], arguments, destinations);
    scope.steps.push_back(std::move(step));
  }

  void lower_if(Scope& scope, uint32_t id) {
    const Node& n = scope.node(id);
    std::vector<BufferRef> arguments, destinations;
    for (size_t i = 1; i < n.operands.size(); ++i)
      arguments.push_back(home_of(scope, n.operands[i]));
    for (uint32_t r = 0; r < n.types.size(); ++r)
      destinations.push_back(places_of(scope, {id, r})[0]);
    Step step;
    step.kind = StepKind::If;
    step.args = {home_of(scope, n.operands[0])};
    step.body = lower_graph(*n.regions[0], arguments, destinations);
    step.other = lower_graph(*n.regions[1], arguments, destinations);
    scope.steps.push_back(std::move(step));
  }

  Target target_;
  Program program_;
  std::map<std::pair<std::string, bool>, int> by_text_;
  bool independent_ = false;  // inside of an independent loop
  std::map<std::pair<const void*, int64_t>, int> constant_ids_;
};

}  // namespace

Program lower(const Graph& g, const Target& target) { return ProgramBuilder(target).run(g); }

}  // namespace lathe
