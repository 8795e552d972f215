#include "frontend/onnx/tracer.h"

#include <fmt/format.h>

#include "frontend/onnx/link.h"

namespace lathe::onnx {
namespace {

// Calls in calls, and subgraphs in subgraphs, while they are traced in place.
constexpr size_t kMostFrames = 200;

}  // namespace

Tracer::Tracer(TraceState state) : state_(std::move(state)) {
  stage_.graph =
      Graph(state_.frames.front().graph->name.empty() ? "main" : state_.frames.front().graph->name);
}

std::string Tracer::place(const NodeDef& node) const {
  const bool unnamed = node.name.empty();
  const std::string output = node.outputs.empty() ? "" : node.outputs.front();
  return fmt::format("{}: node {}'{}' ({})", state_.model->path, unnamed ? "of " : "",
                     unnamed ? output : node.name, node.op);
}

// --- names ---------------------------------------------------------------------------------------

const Value* Tracer::find(const std::string& name) {
  return find_in(static_cast<int>(current_), name);
}

const Value* Tracer::find_in(int frame, const std::string& name) {
  for (; frame >= 0; frame = state_.frames[static_cast<size_t>(frame)].parent) {
    const Frame& f = state_.frames[static_cast<size_t>(frame)];
    if (const auto it = f.env.find(name); it != f.env.end())
      return it->second.kind == Value::Kind::Absent ? nullptr : &it->second;
    const auto at = f.graph->initializer_index.find(name);
    if (at == f.graph->initializer_index.end()) continue;
    Value& v = initializers_[{f.graph, at->second}];
    if (v.kind == Value::Kind::Absent) {
      v = Value::of(f.graph->initializers[at->second].second);
      const bool trained = state_.options.parameters && frame == 0 && !v.is_string() &&
                           is_float(v.known.numbers.dtype());
      if (trained) v.parameter = name;
    }
    return &v;
  }
  return nullptr;
}

Expr Tracer::slot_input(int slot, const TensorType& type) {
  const auto known = slot_inputs_.find(slot);
  if (known != slot_inputs_.end()) return known->second;
  const bool named = static_cast<size_t>(slot) < state_.input_names.size();
  const std::string name =
      named ? state_.input_names[static_cast<size_t>(slot)] : fmt::format("stage input {}", slot);
  const Expr e = input(stage_.graph, name, type);
  stage_.inputs.push_back(slot);
  expr_slots_[e.value] = slot;
  return slot_inputs_[slot] = e;
}

Expr Tracer::expr(const Value& v, Graph& target) {
  switch (v.kind) {
    case Value::Kind::Graph: return v.expr;
    case Value::Kind::Slot: return slot_input(v.slot, {carrier(v.elem), Shape(v.slot_dims)});
    case Value::Kind::Known: break;
    default: fail("a tensor was expected, not {}", v.signature());
  }
  if (v.is_string()) fail("a tensor of numbers was expected, not {}", v.signature());
  if (v.parameter.empty() || &target != &stage_.graph) return constant(target, v.known.numbers);
  const auto known = parameters_.find(v.parameter);
  if (known != parameters_.end()) return known->second;
  const Tensor& t = v.known.numbers;
  stage_.parameters[v.parameter] = t;
  return parameters_[v.parameter] =
             input(stage_.graph, v.parameter, {t.dtype(), Shape(t.dims())}, InputRole::Parameter);
}

// --- running -------------------------------------------------------------------------------------

Stage Tracer::run() {
  if (state_.options.whole && state_.at_start) {
    std::map<int, TensorType> types;
    for (auto& [name, v] : state_.frames.front().env)
      for_each_leaf(v, [&](Value& leaf) {
        if (leaf.kind == Value::Kind::Slot)
          types[leaf.slot] = {carrier(leaf.elem), Shape(leaf.slot_dims)};
      });
    for (const auto& [slot, type] : types) slot_input(slot, type);
  }
  state_.at_start = false;
  while (step() == Next::GoOn) {
  }
  stage_.rest = std::move(state_);
  return std::move(stage_);
}

template <class F>
Tracer::Next Tracer::guarded(const NodeDef& node, F&& body) {
  try {
    return body();
  } catch (const NeedContents& need) {
    stage_.place = place(node);
    cut_decide(need.values);
    return Next::Cut;
  } catch (const Error& e) {
    const std::string_view message = e.what();
    if (message.starts_with(state_.model->path + ": ")) throw;
    const std::string placed = fmt::format("{}: {}", place(node), message);
    if (dynamic_cast<const LimitExceeded*>(&e) != nullptr) throw LimitExceeded(placed);
    throw Error(e.kind(), placed);
  }
}

Tracer::Next Tracer::step() {
  Frame& f = state_.frames.back();
  current_ = state_.frames.size() - 1;
  if (f.next == f.graph->nodes.size()) return finish_frame();
  const NodeDef& node = f.graph->nodes[f.next];
  return guarded(node, [&] {
    count_node();
    stage_.graph.set_current_name(node.name.empty() && !node.outputs.empty() ? node.outputs[0]
                                                                             : node.name);
    if (const FunctionDef* function = state_.model->find_function(node)) {
      call_function(node, *function);
      return Next::GoOn;
    }
    return run_row(node);
  });
}

int Tracer::version_of(const NodeDef& node) const {
  const OpsetVersions& opsets = scope().opsets;
  const auto it = opsets.find(node.domain);
  if (it == opsets.end())
    fail("the model imports no opset of domain '{}'",
         node.domain.empty() ? "ai.onnx" : node.domain);
  return static_cast<int>(it->second);
}

Tracer::Next Tracer::run_row(const NodeDef& node) {
  const int version = version_of(node);
  const OpRow& row = find_row(node.domain, node.op, version);
  if (may_fold(node, row) && fold(node, version, row)) return Next::GoOn;
  OpContext c(*this, node, version, stage_.graph);
  row.translate(c);
  c.check_attributes();
  return settle(c);
}

Tracer::Next Tracer::settle(OpContext& c) {
  if (!c.deferred_ || run_host_now(c)) {
    bind_results(c);
    return Next::GoOn;
  }
  if (c.host_) {
    cut_host(c);
    return Next::Cut;
  }
  push(c.expand_, static_cast<int>(current_), c.expand_inputs_, std::move(c.after_));
  return Next::GoOn;
}

// A call and the node around a subgraph are not counted: what is in them is.
void Tracer::count(const OpContext& c) {
  if (state_.model->find_function(c.node()) != nullptr || current_ + 1 < state_.frames.size())
    return;
  stage_.nodes.add(c.inside_);
  bool computed = false;
  for (Value result : c.results_)
    for_each_leaf(result, [&](Value& leaf) { computed |= leaf.kind == Value::Kind::Graph; });
  ++(computed ? stage_.nodes.compiled : stage_.nodes.folded);
}

void Tracer::count_step(OpContext& c) {
  ++stage_.nodes.steps[c.node().op];
  for (const AttributeDef& a : c.node().attributes)
    if (a.graph) return;
  bool floats = false;
  for (Value& v : c.host_inputs_)
    for_each_leaf(
        v, [&](Value& leaf) { floats |= !leaf.is_string() && is_float(carrier(leaf.elem)); });
  if (floats) ++stage_.nodes.steps_on_floats[c.node().op];
}

void Tracer::bind_results(OpContext& c) {
  count(c);
  Frame& f = state_.frames[current_];
  for (int k = 0; k < c.outputs(); ++k) {
    if (!c.wants(k)) continue;
    const auto at = static_cast<size_t>(k);
    if (at >= c.results_.size() || c.results_[at].kind == Value::Kind::Absent)
      fail_unsupported("its output {} is not computed", k);
    f.env[c.node().outputs[at]] = std::move(c.results_[at]);
  }
  go_on(f);
}

void Tracer::go_on(Frame& f) {
  ++f.next;
  f.computed.clear();
}

// --- subgraphs and functions ---------------------------------------------------------------------

void Tracer::push(const Subgraph& what, int parent, const std::vector<Value>& inputs,
                  Continuation after) {
  count_node();  // also of a body without nodes
  if (state_.frames.size() >= kMostFrames)
    throw LimitExceeded(
        fmt::format("functions or subgraphs are nested more than {} deep", kMostFrames));
  Frame frame;
  frame.graph = what.graph;
  frame.scope = what.scope;
  frame.parent = parent;
  frame.after = std::move(after);
  if (inputs.size() > what.graph->inputs.size())
    fail("{} values are given to '{}', which has {} inputs", inputs.size(), what.graph->name,
         what.graph->inputs.size());
  for (size_t i = 0; i < what.graph->inputs.size(); ++i)
    frame.env[what.graph->inputs[i].name] = i < inputs.size() ? inputs[i] : Value{};
  state_.frames.push_back(std::move(frame));
}

void Tracer::call_function(const NodeDef& node, const FunctionDef& function) {
  const auto scope = std::make_shared<CallScope>();
  scope->opsets = function.opsets;
  for (const AttributeDef& a : function.defaults) scope->attributes[a.name] = a;
  for (const AttributeDef& a : node.attributes) {
    if (a.refers_to.empty()) {
      scope->attributes[a.name] = a;
      continue;
    }
    const auto& outer = state_.frames[current_].scope->attributes;
    if (const auto it = outer.find(a.refers_to); it != outer.end())
      scope->attributes[a.name] = it->second;
  }
  std::vector<Value> inputs;
  for (const std::string& name : node.inputs) {
    const Value* v = name.empty() ? nullptr : find(name);
    inputs.push_back(v != nullptr ? *v : Value{});
  }
  push({function.body.get(), scope}, -1, inputs, {});
}

Tracer::Next Tracer::finish_frame() {
  if (state_.frames.size() == 1) {
    finish();
    return Next::Cut;
  }
  std::vector<Value> results;
  for (const ValueDef& out : state_.frames.back().graph->outputs) {
    const Value* v = out.name.empty() ? nullptr : find(out.name);
    results.push_back(v != nullptr ? *v : Value{});
  }
  current_ = state_.frames.size() - 2;  // the node that waits
  const NodeDef& node = waiting_node(current_);
  return guarded(node, [&] {
    OpContext c(*this, node, state_.model->find_function(node) ? 0 : version_of(node),
                stage_.graph);
    const Continuation after = state_.frames.back().after;
    if (after.then) {
      after.then(c, after.saved, results);
    } else {
      for (int k = 0; k < std::min<int>(c.outputs(), static_cast<int>(results.size())); ++k)
        c.out(k, results[static_cast<size_t>(k)]);
    }
    state_.frames.pop_back();
    return settle(c);
  });
}

const NodeDef& Tracer::waiting_node(size_t frame) const {
  const Frame& f = state_.frames[frame];
  return f.graph->nodes[f.next];
}

// --- cuts ----------------------------------------------------------------------------------------

int Tracer::slot_of(const Expr& e) {
  const auto [it, fresh] = expr_slots_.emplace(e.value, state_.slots);
  if (fresh) {
    stage_.outputs.push_back(state_.slots++);
    stage_.graph.add_output(fmt::format("stage output {}", it->second), e.value);
  }
  return it->second;
}

// Drops what nothing reads any more.
void Tracer::prune() {
  for (Frame& f : state_.frames)
    std::erase_if(f.env, [&](const auto& entry) {
      const auto it = f.graph->last_use.find(entry.first);
      return it == f.graph->last_use.end() || it->second < f.next;
    });
}

void Tracer::to_slots() {
  const auto move = [&](Value& leaf) {
    if (leaf.kind != Value::Kind::Graph) return;
    const Dims dims = leaf.dims();
    leaf = Value::of_slot(slot_of(leaf.expr), leaf.elem, dims);
  };
  for (Frame& f : state_.frames) {
    for (auto& [name, v] : f.env) for_each_leaf(v, move);
    for (Value& v : f.computed) for_each_leaf(v, move);
    for (Value& v : f.after.saved) for_each_leaf(v, move);
  }
  for (Value& v : stage_.values) for_each_leaf(v, move);
}

void Tracer::cut_decide(const std::vector<Value>& needed) {
  stage_.end = Stage::End::Decide;
  for (const Value& v : needed)
    stage_.decided.push_back(v.kind == Value::Kind::Slot ? v.slot : slot_of(v.expr));
  prune();
  to_slots();
}

void Tracer::cut_host(OpContext& c) {
  stage_.end = Stage::End::Host;
  count_step(c);
  stage_.place = place(c.node());
  stage_.host = std::move(c.host_);
  stage_.values = std::move(c.host_inputs_);
  go_on(state_.frames[current_]);
  prune();
  to_slots();
}

void Tracer::finish() {
  stage_.end = Stage::End::Finished;
  for (const ValueDef& out : state_.frames.front().graph->outputs) {
    const Value* v = find(out.name);
    if (v == nullptr) fail("{}: the output '{}' has no value", state_.model->path, out.name);
    stage_.values.push_back(*v);
    if (!state_.options.whole) continue;
    int part = 0;
    for_each_leaf(stage_.values.back(), [&](Value& leaf) {
      const bool whole = leaf.kind == v->kind;
      const Dims dims = leaf.dims();
      stage_.graph.add_output(whole ? out.name : fmt::format("{}/{}", out.name, part++),
                              expr(leaf, stage_.graph).value);
      stage_.outputs.push_back(state_.slots);
      leaf = Value::of_slot(state_.slots++, leaf.elem, dims);
    });
  }
  state_.frames.clear();
  to_slots();
}

void NodeCounts::add(const NodeCounts& other) {
  folded += other.folded;
  compiled += other.compiled;
  for (const auto& [op, n] : other.steps) steps[op] += n;
  for (const auto& [op, n] : other.steps_on_floats) steps_on_floats[op] += n;
}

// --- states --------------------------------------------------------------------------------------

Stage trace(TraceState state) { return Tracer(std::move(state)).run(); }

namespace {

// Another way to go on from where a stage ended has what is left of the limits for itself.
TraceState rest_of(const Stage& stage) {
  TraceState state = stage.rest;
  state.spent = std::make_shared<LoadLimits>(*state.spent);
  return state;
}

}  // namespace

TraceState resume(const Stage& stage, const std::vector<HostTensor>& contents) {
  LATHE_ASSERT(stage.end == Stage::End::Decide && contents.size() == stage.decided.size());
  TraceState state = rest_of(stage);
  const auto know = [&](Value& leaf) {
    if (leaf.kind != Value::Kind::Slot) return;
    const int slot = leaf.slot;
    for (size_t i = 0; i < contents.size(); ++i)
      if (slot == stage.decided[i])
        leaf = Value::of(contents[i].is_string() ? contents[i]
                                                 : HostTensor(leaf.elem, contents[i].numbers));
  };
  for (Frame& f : state.frames) {
    for (auto& [name, v] : f.env) for_each_leaf(v, know);
    for (Value& v : f.computed) for_each_leaf(v, know);
    for (Value& v : f.after.saved) for_each_leaf(v, know);
  }
  return state;
}

TraceState resume(const Stage& stage, const std::vector<Value>& results) {
  LATHE_ASSERT(stage.end == Stage::End::Host, "the stage does not end in a host step");
  TraceState state = rest_of(stage);
  Frame& f = state.frames.back();
  const NodeDef& node = f.graph->nodes[f.next - 1];
  std::vector<Value> moved = results;
  for (Value& v : moved)
    for_each_leaf(
        v, [&](Value& leaf) { leaf = Value::of_slot(state.slots++, leaf.elem, leaf.dims()); });
  for (size_t k = 0; k < node.outputs.size(); ++k) {
    if (node.outputs[k].empty()) continue;
    if (k >= moved.size()) fail_unsupported("{}: its output {} is not computed", stage.place, k);
    f.env[node.outputs[k]] = std::move(moved[k]);
  }
  return state;
}

}  // namespace lathe::onnx
