#include "passes/scan_motion.h"

#include <algorithm>
#include <map>
#include <set>

#include "passes/match.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

using Known = std::map<Value, Value>;  // values of one graph to those of another

// Copies what `roots` depend on, down to the values that `known` has already; the roots' copies.
std::vector<Value> copy_values(const Graph& from, Graph& to, const Known& known,
                               const std::vector<Value>& roots) {
  std::vector<bool> needed(from.nodes().size(), false);
  const auto need = [&](Value v) {
    if (!known.contains(v)) needed[v.node] = true;
  };
  std::ranges::for_each(roots, need);
  for (size_t id = needed.size(); id-- > 0;)
    if (needed[id]) std::ranges::for_each(from.nodes()[id].operands, need);

  std::vector<uint32_t> moved(from.nodes().size());
  const auto at = [&](Value v) {
    const auto found = known.find(v);
    return found != known.end() ? found->second : Value{moved[v.node], v.result};
  };
  for (size_t id = 0; id < needed.size(); ++id) {
    if (!needed[id]) continue;
    const Node& n = from.nodes()[id];
    LATHE_ASSERT(n.op != OpId::parameter, "input '{}' is needed", n.name);
    std::vector<Value> operands;
    for (const Value& v : n.operands) operands.push_back(at(v));
    moved[id] = to.add(n.op, std::move(operands), n.attrs, n.regions, n.name).node;
  }
  std::vector<Value> out;
  for (const Value& v : roots) out.push_back(at(v));
  return out;
}

std::vector<Value> output_values(const Graph& g) {
  std::vector<Value> out;
  for (const GraphOutput& o : g.outputs()) out.push_back(o.value);
  return out;
}

// How often live nodes and outputs read each node.
std::vector<int> count_uses(const Graph& g) {
  const std::vector<bool> live = reachable(g, output_values(g));
  std::vector<int> uses(g.nodes().size(), 0);
  for (size_t id = 0; id < live.size(); ++id)
    if (live[id])
      for (const Value& v : g.nodes()[id].operands) ++uses[v.node];
  for (const GraphOutput& o : g.outputs()) ++uses[o.value.node];
  return uses;
}

// Nodes that depend on the inputs [begin, end).
std::vector<bool> dependents(const Graph& g, size_t begin, size_t end) {
  std::vector<bool> mark(g.nodes().size(), false);
  for (size_t i = begin; i < end; ++i) mark[g.inputs()[i].value.node] = true;
  for (auto id = size_t{0}; id < mark.size(); ++id)
    for (const Value& v : g.nodes()[id].operands)
      if (mark[v.node]) mark[id] = true;
  return mark;
}

Dims with_time(const Dims& axes) {
  Dims out{0};
  for (int64_t a : axes) out.push_back(a + 1);
  return out;
}
Dims after_time(Dims axes) {
  for (int64_t& a : axes) ++a;
  return axes;
}

// The same contraction of stacked operands, over time too.
Attrs over_time(const Attrs& attrs) {
  if (const auto* sum = std::get_if<AxesAttrs>(&attrs)) return AxesAttrs{with_time(sum->axes)};
  auto dot = std::get<DotAttrs>(attrs);
  dot.lhs_batch = after_time(dot.lhs_batch);
  dot.rhs_batch = after_time(dot.rhs_batch);
  dot.lhs_contract = with_time(dot.lhs_contract);
  dot.rhs_contract = with_time(dot.rhs_contract);
  return dot;
}

class ScanMotion {
 public:
  ScanMotion(const Node& n, std::vector<Expr> operands, Graph& g)
      : g_(g),
        attrs_(std::get<ScanAttrs>(n.attrs)),
        body_(n.regions[0]),
        operands_(std::move(operands)) {}

  // Results in the order of the scan's; nothing where there is nothing to move.
  std::optional<std::vector<Expr>> run() {
    find_sums();
    if (!sums_.empty()) remove_sums();
    lay_out_constants();
    hoist();
    if (!changed_) return std::nullopt;
    drop_unread();
    return emit();
  }

 private:
  // One addend of a sum: `contraction`, seen through `views` (innermost last).
  struct Term {
    std::vector<uint32_t> views;
    Value contraction;
  };
  struct Sum {
    size_t carry = 0;
    std::vector<Term> terms;
  };

  size_t carries() const { return static_cast<size_t>(attrs_.carries); }
  size_t scanned_end() const { return carries() + static_cast<size_t>(attrs_.scanned); }
  size_t input_count() const { return body_->inputs().size(); }
  const Node& node(Value v) const { return body_->node(v); }

  void find_sums() {
    const std::vector<int> uses = count_uses(*body_);
    const std::vector<bool> varying = dependents(*body_, 0, scanned_end());
    for (size_t i = 0; i < carries(); ++i) {
      const Value carry = body_->inputs()[i].value;
      if (uses[carry.node] != 1 || match::number(operands_[i]) != 0.0) continue;
      std::vector<Value> leaves;
      collect_leaves(body_->outputs()[i].value, uses, leaves);
      if (leaves.size() < 2 || std::erase(leaves, carry) != 1) continue;
      Sum sum{i, {}};
      for (const Value& leaf : leaves)
        if (std::optional<Term> t = term(leaf, varying)) sum.terms.push_back(*std::move(t));
      if (sum.terms.size() == leaves.size()) sums_.push_back(std::move(sum));
    }
  }

  void collect_leaves(Value v, const std::vector<int>& uses, std::vector<Value>& leaves) const {
    if (node(v).op != OpId::add || uses[v.node] != 1) return leaves.push_back(v);
    for (const Value& operand : node(v).operands) collect_leaves(operand, uses, leaves);
  }

  std::optional<Term> term(Value v, const std::vector<bool>& varying) const {
    Term t;
    while (node(v).op == OpId::transpose || node(v).op == OpId::reshape) {
      t.views.push_back(v.node);
      v = node(v).operands[0];
    }
    if (node(v).op != OpId::dot_general && node(v).op != OpId::reduce_sum) return std::nullopt;
    for (const Value& operand : node(v).operands)
      if (!varying[operand.node]) return std::nullopt;
    t.contraction = v;
    return t;
  }

  bool is_sum(size_t carry) const {
    return std::ranges::any_of(sums_, [&](const Sum& s) { return s.carry == carry; });
  }

  // The body without these carries, and with what their terms contract as further outputs.
  void remove_sums() {
    old_body_ = body_;
    old_operands_ = operands_;
    auto step = std::make_shared<Graph>(body_->name());
    Known known;
    operands_.clear();
    for (size_t i = 0; i < old_operands_.size(); ++i) {
      if (is_sum(i)) continue;
      const GraphInput& in = old_body_->inputs()[i];
      known[in.value] = step->add_input(in.name, in.type, in.role);
      operands_.push_back(old_operands_[i]);
    }
    std::vector<Value> roots;
    std::vector<std::string> names;
    for (size_t r = 0; r < old_body_->outputs().size(); ++r) {
      const GraphOutput& out = old_body_->outputs()[r];
      if (is_sum(r)) continue;
      if (r >= carries()) stacked_at_.emplace(out.value, roots.size());
      roots.push_back(out.value);
      names.push_back(out.name);
    }
    for (const Sum& sum : sums_)
      for (const Term& t : sum.terms)
        for (const Value& v : node(t.contraction).operands) {
          if (is_scanned(v) || !stacked_at_.emplace(v, roots.size()).second) continue;
          roots.push_back(v);
          names.emplace_back("summed");
        }
    const std::vector<Value> values = copy_values(*old_body_, *step, known, roots);
    for (size_t r = 0; r < values.size(); ++r) step->add_output(names[r], values[r]);
    old_carries_ = carries();
    attrs_.carries -= std::ssize(sums_);
    body_ = step;
    changed_ = true;
  }

  // Precondition: body_ still has the carries of sums_.
  bool is_scanned(Value v) const {
    for (size_t i = carries(); i < scanned_end(); ++i)
      if (body_->inputs()[i].value == v) return true;
    return false;
  }

  // Matrices that every step multiplies by are laid out for it once, outside: [n, k] and [k, n]
  // become [n / 32, k, 32], the panels that the kernels of contractions walk; where n is no
  // multiple of 32, k goes first.
  void lay_out_constants() {
    const std::vector<bool> varying = dependents(*body_, 0, scanned_end());
    const std::vector<bool> constant = dependents(*body_, scanned_end(), input_count());
    bool found = false;
    Graph step =
        Rebuilder::run(*body_,
                       [&](const Graph& source, uint32_t id, const std::vector<Expr>& operands,
                           Graph&) -> std::optional<std::vector<Expr>> {
                         const Node& n = source.nodes()[id];
                         if (n.op != OpId::dot_general || !varying[n.operands[0].node] ||
                             varying[n.operands[1].node] || !constant[n.operands[1].node])
                           return std::nullopt;
                         const std::optional<Expr> e =
                             with_layout(operands[0], operands[1], std::get<DotAttrs>(n.attrs));
                         if (!e) return std::nullopt;
                         found = true;
                         return std::vector<Expr>{*e};
                       });
    if (!found) return;
    body_ = std::make_shared<const Graph>(std::move(step));
    changed_ = true;
  }

  static std::optional<Expr> with_layout(const Expr& x, const Expr& w, DotAttrs a) {
    if (!a.rhs_batch.empty() || a.rhs_contract.size() != 1 || w.rank() < 2) return std::nullopt;
    const int64_t k = a.rhs_contract[0];
    constexpr int64_t kPanel = kLanes;
    if (w.rank() == 2 && w.shape().is_static() && x.rank() > std::ssize(a.lhs_contract)) {
      const int64_t n = w.shape()[k == 0 ? 1 : 0].value();
      if (n % kPanel == 0 && n > kPanel) {
        const int64_t steps = w.shape()[static_cast<int>(k)].value();
        const Shape apart =
            k == 0 ? Shape{steps, n / kPanel, kPanel} : Shape{n / kPanel, kPanel, steps};
        const Expr panels = transpose(reshape(w, apart), k == 0 ? Dims{1, 0, 2} : Dims{0, 2, 1});
        a.rhs_contract = {1};
        const Expr y = dot_general(x, panels, a);
        std::vector<Dim> merged(y.shape().begin(), y.shape().end() - 2);
        merged.emplace_back(n);
        return reshape(y, Shape(std::move(merged)));
      }
    }
    const int64_t last = w.rank() - 1;
    if (k != last) return std::nullopt;
    Dims perm{last};
    for (int64_t axis = 0; axis < last; ++axis) perm.push_back(axis);
    a.rhs_contract = {0};
    return dot_general(x, transpose(w, std::move(perm)), std::move(a));
  }

  // Views that cost a kernel nothing stay where they are read.
  static bool is_work(const Node& n) {
    const OpDef& def = op_def(n.op);
    if (def.cls == OpClass::Source) return false;
    return def.cls != OpClass::View ||
           !(def.same_bytes || n.op == OpId::broadcast || n.op == OpId::slice);
  }

  void hoist() {
    const std::vector<bool> varying = dependents(*body_, 0, scanned_end());
    const std::vector<bool> constant = dependents(*body_, scanned_end(), input_count());
    const auto leaves = [&](Value v) {
      return constant[v.node] && !varying[v.node] && is_work(node(v));
    };
    // Values that leave and are read by what stays.
    std::set<Value> read;
    std::vector<bool> stays(body_->nodes().size(), false);
    const auto visit = [&](Value v) {
      if (leaves(v)) read.insert(v);
      else stays[v.node] = true;
    };
    for (const Value& v : output_values(*body_)) visit(v);
    for (size_t id = stays.size(); id-- > 0;)
      if (stays[id]) std::ranges::for_each(body_->nodes()[id].operands, visit);
    if (read.empty()) return;

    auto step = std::make_shared<Graph>(body_->name());
    Known inside, outside;
    for (size_t i = 0; i < input_count(); ++i) {
      const GraphInput& in = body_->inputs()[i];
      inside[in.value] = step->add_input(in.name, in.type, in.role);
      if (i >= scanned_end()) outside[in.value] = operands_[i].value;
    }
    const std::vector<Value> moved(read.begin(), read.end());
    const std::vector<Value> computed = copy_values(*body_, g_, outside, moved);
    for (size_t k = 0; k < moved.size(); ++k) {
      inside[moved[k]] = step->add_input(fmt::format("hoisted{}", k), body_->type(moved[k]));
      operands_.push_back({&g_, computed[k]});
    }
    const std::vector<Value> values = copy_values(*body_, *step, inside, output_values(*body_));
    for (size_t r = 0; r < values.size(); ++r)
      step->add_output(body_->outputs()[r].name, values[r]);
    body_ = step;
    changed_ = true;
  }

  // Scanned and constant operands that no step reads any more.
  void drop_unread() {
    const std::vector<bool> live = reachable(*body_, output_values(*body_));
    auto step = std::make_shared<Graph>(body_->name());
    std::vector<Expr> operands;
    Known known;
    int64_t scanned = 0;
    for (size_t i = 0; i < input_count(); ++i) {
      const GraphInput& in = body_->inputs()[i];
      if (i >= carries() && !live[in.value.node]) continue;
      known[in.value] = step->add_input(in.name, in.type, in.role);
      operands.push_back(operands_[i]);
      if (i >= carries() && i < scanned_end()) ++scanned;
    }
    const std::vector<Value> values = copy_values(*body_, *step, known, output_values(*body_));
    for (size_t r = 0; r < values.size(); ++r)
      step->add_output(body_->outputs()[r].name, values[r]);
    attrs_.scanned = scanned;
    operands_ = std::move(operands);
    body_ = step;
  }

  std::vector<Expr> emit() {
    const auto part = [&](size_t from, size_t to) {
      return std::vector<Expr>(operands_.begin() + static_cast<int64_t>(from),
                               operands_.begin() + static_cast<int64_t>(to));
    };
    const std::vector<Expr> results =
        scan(g_, body_, part(0, carries()), part(carries(), scanned_end()),
             part(scanned_end(), operands_.size()), attrs_.length, attrs_.reverse);
    if (sums_.empty()) return results;
    std::vector<Expr> out;
    for (size_t r = 0, next = 0; r < old_body_->outputs().size(); ++r) {
      const auto sum = std::ranges::find(sums_, r, &Sum::carry);
      out.push_back(sum == sums_.end() ? results[next++] : total(*sum, results));
    }
    return out;
  }

  Expr total(const Sum& sum, const std::vector<Expr>& results) {
    Expr total;
    for (const Term& t : sum.terms) {
      const Node& n = old_body_->node(t.contraction);
      std::vector<Value> operands;
      for (const Value& v : n.operands) operands.push_back(stacked(v, results).value);
      Expr e{&g_, g_.add(n.op, std::move(operands), over_time(n.attrs), {}, n.name)};
      for (size_t k = t.views.size(); k-- > 0;) {
        const Node& view = old_body_->nodes()[t.views[k]];
        e.value = g_.add(view.op, {e.value}, view.attrs);
      }
      total = total.defined() ? total + e : e;
    }
    return total;
  }

  // All steps' values of what was `v` in the old body.
  Expr stacked(Value v, const std::vector<Expr>& results) const {
    const auto found = stacked_at_.find(v);
    if (found != stacked_at_.end()) return results[found->second];
    for (size_t i = old_carries_; i < old_operands_.size(); ++i)
      if (old_body_->inputs()[i].value == v) return old_operands_[i];
    fail_internal(__FILE__, __LINE__, "stacked", old_body_->name());
  }

  Graph& g_;
  ScanAttrs attrs_;
  Region body_;
  std::vector<Expr> operands_;
  bool changed_ = false;

  std::vector<Sum> sums_;
  Region old_body_;  // with the carries of sums_
  std::vector<Expr> old_operands_;
  size_t old_carries_ = 0;
  std::map<Value, size_t> stacked_at_;  // values of old_body_ to results of the new scan
};

Graph move_here(const Graph& g) {
  return Rebuilder::run(g,
                        [](const Graph& source, uint32_t id, const std::vector<Expr>& operands,
                           Graph& target) -> std::optional<std::vector<Expr>> {
                          const Node& n = source.nodes()[id];
                          if (n.op != OpId::scan) return std::nullopt;
                          return ScanMotion(n, operands, target).run();
                        });
}

}  // namespace

// Inner scans first: what leaves them may leave the scan around them.
Graph move_out_of_scans(const Graph& g) { return move_here(map_regions(g, move_here)); }

}  // namespace lathe
