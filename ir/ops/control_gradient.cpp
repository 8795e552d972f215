// Gradients of ops with regions: the region's own derivative, put back into the same kind of op.
#include <map>

#include "ir/op.h"
#include "ir/ops/control.h"

namespace lathe {
namespace {

// Nodes that `roots` depend on.
std::vector<bool> ancestors(const Graph& g, const std::vector<Value>& roots) {
  std::vector<bool> mark(g.nodes().size(), false);
  for (const Value& v : roots) mark[v.node] = true;
  for (size_t i = mark.size(); i-- > 0;)
    if (mark[i])
      for (const Value& v : g.nodes()[i].operands) mark[v.node] = true;
  return mark;
}

// Nodes that depend on the inputs with active[i].
std::vector<bool> dependents(const Graph& g, const std::vector<bool>& active) {
  std::vector<bool> mark(g.nodes().size(), false);
  for (size_t i = 0; i < active.size(); ++i)
    if (active[i]) mark[g.inputs()[i].value.node] = true;
  for (size_t i = 0; i < mark.size(); ++i)
    for (const Value& v : g.nodes()[i].operands)
      if (mark[v.node]) mark[i] = true;
  return mark;
}

std::vector<Value> output_values(const Graph& g) {
  std::vector<Value> values;
  for (const GraphOutput& out : g.outputs()) values.push_back(out.value);
  return values;
}

std::vector<bool> used_inputs(const Graph& g) {
  const std::vector<bool> live = ancestors(g, output_values(g));
  std::vector<bool> used;
  for (const GraphInput& in : g.inputs()) used.push_back(live[in.value.node]);
  return used;
}

// Copies what `values` of `body` depend on into g, inputs replaced by `operands`; those that no
// value depends on may be undefined.
std::vector<Expr> copy_values(Graph& g, const Graph& body, const std::vector<Expr>& operands,
                              const std::vector<Value>& values) {
  const std::vector<bool> live = ancestors(body, values);
  std::vector<Value> at(body.nodes().size());
  for (size_t i = 0; i < operands.size(); ++i) at[body.inputs()[i].value.node] = operands[i].value;
  const auto copied = [&](Value v) {
    const bool is_input = body.node(v).op == OpId::parameter;
    return is_input ? at[v.node] : Value{at[v.node].node, v.result};
  };
  for (size_t i = 0; i < live.size(); ++i) {
    const Node& n = body.nodes()[i];
    if (!live[i] || n.op == OpId::parameter) continue;
    std::vector<Value> inputs;
    for (const Value& v : n.operands) inputs.push_back(copied(v));
    at[i] = g.add(n.op, std::move(inputs), n.attrs, n.regions, n.name);
  }
  std::vector<Expr> out;
  for (const Value& v : values) out.push_back({&g, copied(v)});
  return out;
}

std::vector<Expr> copy_outputs(Graph& g, const Graph& body, const std::vector<Expr>& operands) {
  return copy_values(g, body, operands, output_values(body));
}

std::vector<Expr> copy_inputs(Graph& g, const Graph& like) {
  std::vector<Expr> out;
  for (const GraphInput& in : like.inputs()) out.push_back(input(g, in.name, in.type));
  return out;
}

// Adds the cotangents of `region`'s wanted inputs to g, recomputing its forward pass there.
// `cotangents`: one for each output of the region; undefined ones are zero.
std::vector<Expr> inline_gradient(Vjp& v, Graph& g, const Graph& region,
                                  const std::vector<Expr>& inputs,
                                  const std::vector<Expr>& cotangents,
                                  const std::vector<bool>& wanted) {
  const RegionGradient rg = v.differentiate_region(region, wanted);
  const std::vector<Expr> forward = copy_outputs(g, *rg.forward, inputs);
  std::vector<Expr> operands;
  for (int r : rg.float_outputs) {
    const Expr& given = cotangents[static_cast<size_t>(r)];
    operands.push_back(given.defined() ? given : full_like(forward[static_cast<size_t>(r)], 0));
  }
  operands.insert(operands.end(), forward.end() - rg.saved, forward.end());
  operands.insert(operands.end(), inputs.begin(), inputs.end());
  return copy_outputs(g, *rg.backward, operands);
}

// One scan's derivative. The forward scan is replaced by one that also stacks, for every step, the
// values that the backward body uses; the backward scan runs the other way over these, its carries
// are the cotangents of the active carries and the running sums of the constants' cotangents.
class ScanGradient {
 public:
  explicit ScanGradient(Vjp& v)
      : v_(v),
        node_(v.node()),
        attrs_(v.attrs<ScanAttrs>()),
        body_(*node_.regions[0]),
        carries_(static_cast<size_t>(attrs_.carries)),
        scanned_end_(carries_ + static_cast<size_t>(attrs_.scanned)),
        active_(find_active()),
        gradient_(v.differentiate_region(body_, active_)),
        used_(used_inputs(*gradient_.backward)) {}

  void run() {
    run_forward();
    declare_inputs();
    run_backward();
  }

 private:
  // How the backward body comes by a value of the forward one: from a stack with a row for each
  // step, as a constant computed once outside (it varies with no step), or by building it again (it
  // depends on no input).
  enum class From : uint8_t { Nowhere, Stack, Outside, Itself };
  struct Kept {
    From from = From::Nowhere;
    size_t stack = 0;  // result of the forward scan
  };

  size_t input_count() const { return body_.inputs().size(); }
  size_t saved_count() const { return static_cast<size_t>(gradient_.saved); }
  bool uses_saved(size_t s) const { return used_[gradient_.float_outputs.size() + s]; }
  bool uses_input(size_t i) const {
    return used_[gradient_.float_outputs.size() + saved_count() + i];
  }
  Value saved_value(size_t s) const {
    const auto& outputs = gradient_.forward->outputs();
    return outputs[outputs.size() - saved_count() + s].value;
  }

  // Inputs whose cotangents matter: the wanted ones and the carries that come to depend on them.
  std::vector<bool> find_active() const {
    std::vector<bool> active;
    for (size_t i = 0; i < input_count(); ++i) active.push_back(v_.wants(static_cast<int>(i)));
    for (bool changed = true; changed;) {
      changed = false;
      const std::vector<bool> reached = dependents(body_, active);
      for (size_t i = 0; i < carries_; ++i)
        if (!active[i] && is_float(body_.inputs()[i].type.dtype) &&
            reached[body_.outputs()[i].value.node])
          active[i] = changed = true;
    }
    return active;
  }

  void run_forward() {
    auto step = std::make_shared<Graph>(body_.name());
    const std::vector<Expr> inputs = copy_inputs(*step, body_);
    std::vector<bool> varying(input_count());
    for (size_t i = 0; i < scanned_end_; ++i) varying[i] = true;
    const std::vector<bool> varies = dependents(*gradient_.forward, varying);
    const std::vector<bool> depends =
        dependents(*gradient_.forward, std::vector<bool>(input_count(), true));

    std::vector<Value> values = output_values(*gradient_.forward);
    const size_t results = values.size() - saved_count();
    values.resize(results);
    saved_.resize(saved_count());
    std::vector<size_t> stacked;
    for (size_t s = 0; s < saved_count(); ++s) {
      if (!uses_saved(s)) continue;
      const uint32_t id = saved_value(s).node;
      if (!varies[id]) {
        saved_[s].from = depends[id] ? From::Outside : From::Itself;
        continue;
      }
      stacked.push_back(s);
      values.push_back(saved_value(s));
    }
    const std::vector<Expr> copies = copy_values(*step, *gradient_.forward, inputs, values);

    std::map<Value, size_t> output_of;  // a value that is stacked already is not stacked again
    for (size_t r = 0; r < results; ++r) {
      step->add_output(body_.outputs()[r].name, copies[r].value);
      if (r >= carries_) output_of.emplace(copies[r].value, r);
    }
    const auto stack = [&](const Expr& e) -> Kept {
      const auto [found, fresh] = output_of.emplace(e.value, step->outputs().size());
      if (fresh) step->add_output("saved", e.value);
      return {From::Stack, found->second};
    };
    for (size_t k = 0; k < stacked.size(); ++k) saved_[stacked[k]] = stack(copies[results + k]);
    incoming_.resize(carries_);
    for (size_t i = 0; i < carries_; ++i)
      if (uses_input(i)) incoming_[i] = stack(inputs[i]);

    const std::vector<Expr> operands = operands_outside();
    const auto part = [&](size_t from, size_t to) {
      return std::vector<Expr>(operands.begin() + static_cast<int64_t>(from),
                               operands.begin() + static_cast<int64_t>(to));
    };
    forward_ = scan(v_.graph(), step, part(0, carries_), part(carries_, scanned_end_),
                    part(scanned_end_, input_count()), attrs_.length, attrs_.reverse);
    // A linear body saves nothing, and the scan is its own replacement.
    if (forward_.size() > results)
      v_.replace_results({forward_.begin(), forward_.begin() + static_cast<int64_t>(results)});
  }

  std::vector<Expr> operands_outside() const {
    std::vector<Expr> operands;
    for (size_t i = 0; i < input_count(); ++i) operands.push_back(v_.in(static_cast<int>(i)));
    return operands;
  }

  Expr add_step_input(const std::string& name, const TensorType& type) {
    return input(*step_, name, type);
  }
  Expr scanned_input(const Expr& stacked, std::vector<Expr>& scanned) {
    TensorType row = stacked.type();
    row.shape = Shape(std::vector<Dim>(row.shape.begin() + 1, row.shape.end()));
    scanned.push_back(stacked);
    return add_step_input(fmt::format("scanned{}", scanned.size()), row);
  }

  Expr constant_input(const Expr& value) {
    constants_.push_back(value);
    return add_step_input(fmt::format("constant{}", constants_.size()), value.type());
  }

  // The backward body's inputs, in a scan's order, and what the backward scan is given for them.
  void declare_inputs() {
    cotangents_.resize(node_.types.size());
    for (size_t i = 0; i < input_count(); ++i) {
      if (!active_[i] || (i >= carries_ && i < scanned_end_)) continue;
      const Expr operand = v_.in(static_cast<int>(i));
      starts_.push_back(i < carries_ ? v_.g(static_cast<int>(i)) : full_like(operand, 0));
      const Expr carry = add_step_input(fmt::format("d_{}", i), operand.type());
      if (i < carries_) cotangents_[i] = carry;
      else sums_.push_back(carry);
    }
    std::map<size_t, Expr> rows;
    const auto row = [&](const Kept& k) {
      if (k.from != From::Stack) return Expr();
      if (!rows.contains(k.stack)) rows[k.stack] = scanned_input(forward_[k.stack], scanned_);
      return rows[k.stack];
    };
    for (const Kept& k : saved_) saved_rows_.push_back(row(k));
    inputs_.resize(input_count());
    for (size_t i = 0; i < carries_; ++i) inputs_[i] = row(incoming_[i]);
    for (size_t i = carries_; i < scanned_end_; ++i)
      if (uses_input(i)) inputs_[i] = scanned_input(v_.in(static_cast<int>(i)), scanned_);
    for (size_t r = carries_; r < node_.types.size(); ++r)
      if (v_.has_g(static_cast<int>(r)))
        cotangents_[r] = scanned_input(v_.g(static_cast<int>(r)), scanned_);
    for (size_t i = scanned_end_; i < input_count(); ++i)
      if (uses_input(i)) inputs_[i] = constant_input(v_.in(static_cast<int>(i)));
    for (size_t s = 0; s < saved_count(); ++s)
      if (saved_[s].from == From::Outside)
        saved_rows_[s] = constant_input(
            copy_values(v_.graph(), *gradient_.forward, operands_outside(), {saved_value(s)})[0]);
  }

  std::vector<Expr> step_cotangents() {
    for (size_t s = 0; s < saved_count(); ++s)
      if (saved_[s].from == From::Itself)
        saved_rows_[s] = copy_values(*step_, *gradient_.forward, inputs_, {saved_value(s)})[0];
    std::vector<Expr> operands;
    for (int r : gradient_.float_outputs) {
      const Expr& c = cotangents_[static_cast<size_t>(r)];
      const Value out = body_.outputs()[static_cast<size_t>(r)].value;
      operands.push_back(c.defined() ? c : full(*step_, body_.type(out), 0));
    }
    operands.insert(operands.end(), saved_rows_.begin(), saved_rows_.end());
    operands.insert(operands.end(), inputs_.begin(), inputs_.end());
    return copy_outputs(*step_, *gradient_.backward, operands);
  }

  void run_backward() {
    const std::vector<Expr> given = step_cotangents();
    // Outputs: the carries' and constants' cotangents, then those of the scanned operands.
    std::vector<int> carried, stacked;
    std::vector<Expr> stacked_values;
    for (size_t i = 0, k = 0, sum = 0; i < input_count(); ++i) {
      if (!active_[i]) continue;
      const Expr& c = given[k++];
      if (i >= carries_ && i < scanned_end_) {
        stacked.push_back(static_cast<int>(i));
        stacked_values.push_back(c);
        continue;
      }
      carried.push_back(static_cast<int>(i));
      step_->add_output(fmt::format("d_{}", i), (i < carries_ ? c : sums_[sum++] + c).value);
    }
    for (const Expr& e : stacked_values) step_->add_output("d_scanned", e.value);
    const std::vector<Expr> results =
        scan(v_.graph(), step_, starts_, scanned_, constants_, attrs_.length, !attrs_.reverse);
    for (size_t k = 0; k < carried.size(); ++k) v_.give(carried[k], results[k]);
    for (size_t k = 0; k < stacked.size(); ++k) v_.give(stacked[k], results[carried.size() + k]);
  }

  Vjp& v_;
  const Node node_;
  const ScanAttrs attrs_;
  const Graph& body_;
  const size_t carries_, scanned_end_;
  const std::vector<bool> active_;
  const RegionGradient gradient_;
  const std::vector<bool> used_;  // inputs of gradient_.backward

  std::vector<Kept> saved_, incoming_;
  std::vector<Expr> forward_;  // results of the replaced scan

  // The backward scan: its operands, and its body's values for them.
  std::shared_ptr<Graph> step_ = std::make_shared<Graph>(body_.name() + "_backward");
  std::vector<Expr> starts_, scanned_, constants_;
  std::vector<Expr> cotangents_;  // one per result of the scan, undefined: zero
  std::vector<Expr> sums_, saved_rows_, inputs_;
};

Region branch_gradient(Vjp& v, const Graph& branch, const std::vector<bool>& wanted) {
  auto g = std::make_shared<Graph>(branch.name() + "_backward");
  std::vector<Expr> cotangents(branch.outputs().size());
  for (size_t r = 0; r < cotangents.size(); ++r)
    if (v.has_g(static_cast<int>(r)))
      cotangents[r] = input(*g, fmt::format("d_out{}", r), v.out(static_cast<int>(r)).type());
  const std::vector<Expr> inputs = copy_inputs(*g, branch);
  const std::vector<Expr> given = inline_gradient(v, *g, branch, inputs, cotangents, wanted);
  for (const Expr& e : given) g->add_output("d_in", e.value);
  return g;
}

}  // namespace

void vjp_scan(Vjp& v) { ScanGradient(v).run(); }

// The backward branch recomputes its forward pass: nothing is saved, because the untaken branch
// would have nothing to save.
void vjp_if_else(Vjp& v) {
  const Node node = v.node();
  std::vector<bool> wanted;
  for (size_t i = 1; i < node.operands.size(); ++i) wanted.push_back(v.wants(static_cast<int>(i)));
  std::vector<Expr> operands;
  for (size_t r = 0; r < node.types.size(); ++r)
    if (v.has_g(static_cast<int>(r))) operands.push_back(v.g(static_cast<int>(r)));
  for (size_t i = 1; i < node.operands.size(); ++i) operands.push_back(v.in(static_cast<int>(i)));
  const std::vector<Expr> results = if_else(v.in(0), branch_gradient(v, *node.regions[0], wanted),
                                            branch_gradient(v, *node.regions[1], wanted), operands);
  for (size_t i = 0, k = 0; i < wanted.size(); ++i)
    if (wanted[i]) v.give(static_cast<int>(i) + 1, results[k++]);
}

// The forward pass is inlined a second time beside the composite; where the composite itself is
// inlined later, equal nodes merge and nothing is computed twice.
void vjp_composite(Vjp& v) {
  const Node node = v.node();
  std::vector<bool> wanted;
  std::vector<Expr> inputs, cotangents;
  for (size_t i = 0; i < node.operands.size(); ++i) {
    wanted.push_back(v.wants(static_cast<int>(i)));
    inputs.push_back(v.in(static_cast<int>(i)));
  }
  for (size_t r = 0; r < node.types.size(); ++r)
    cotangents.push_back(v.has_g(static_cast<int>(r)) ? v.g(static_cast<int>(r)) : Expr());
  const std::vector<Expr> given =
      inline_gradient(v, v.graph(), *node.regions[0], inputs, cotangents, wanted);
  for (size_t i = 0, k = 0; i < wanted.size(); ++i)
    if (wanted[i]) v.give(static_cast<int>(i), given[k++]);
}

}  // namespace lathe
