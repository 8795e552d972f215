#include "passes/fuse.h"

#include <algorithm>

#include "ir/op.h"
#include "ir/scalar.h"
#include "passes/group_order.h"
#include "passes/rebuild.h"

namespace lathe {

namespace {

constexpr int kMaxGroupNodes = 256;
constexpr int kMaxInlineCost = 8;
constexpr int64_t kOutputReader = INT64_MAX;

class Fuser {
 public:
  explicit Fuser(const Graph& g)
      : graph_(g),
        count_(static_cast<uint32_t>(g.nodes().size())),
        users_(count_),
        visited_(count_, 0) {
    plan_.disposition.assign(count_, Disposition::Dead);
    plan_.group_of.assign(count_, -1);
  }

  FusionPlan run() {
    find_users();
    classify();
    for (uint32_t id = 0; id < count_; ++id)
      if (plan_.disposition[id] == Disposition::Grouped) place(id);
    for (int g = 0; g < std::ssize(plan_.groups); ++g) move_into_reduction(g);
    absorb_prologues();
    repeat_masks();
    find_outputs();
    find_order();
    for (uint32_t id = 0; id < count_; ++id)
      if (plan_.disposition[id] == Disposition::Inline) plan_.inlined.insert(id);
    return std::move(plan_);
  }

 private:
  const Node& node(uint32_t id) const { return graph_.nodes()[id]; }
  const OpDef& def(uint32_t id) const { return op_def(node(id).op); }
  int64_t elements(uint32_t id) const { return node(id).types[0].shape.element_count(); }
  Dims dims(uint32_t id) const { return node(id).types[0].shape.static_dims(); }
  Disposition& disposition(uint32_t id) { return plan_.disposition[id]; }
  Disposition disposition(uint32_t id) const { return plan_.disposition[id]; }

  void find_users() {
    std::vector<Value> roots;
    for (const GraphOutput& out : graph_.outputs()) roots.push_back(out.value);
    live_ = reachable(graph_, roots);
    for (uint32_t id = 0; id < count_; ++id)
      if (live_[id])
        for (const Value& v : node(id).operands) users_[v.node].push_back(id);
  }

  Disposition classify_source(uint32_t id) const {
    if (node(id).op == OpId::parameter) return Disposition::External;
    if (const auto* c = std::get_if<ConstantAttrs>(&node(id).attrs))
      return is_splat(c->value) ? Disposition::Inline : Disposition::External;
    return Disposition::Inline;
  }

  // The number of scalars an inlined value costs, or a large number where it reads real memory.
  int source_cost(uint32_t id) const {
    int cost = 1;
    for (const Value& v : node(id).operands) {
      if (plan_.disposition[v.node] != Disposition::Inline) return kMaxInlineCost + 1;
      cost += source_cost(v.node);
      if (cost > kMaxInlineCost) break;
    }
    return cost;
  }

  Disposition classify_node(uint32_t id) const {
    const OpDef& d = def(id);
    switch (d.cls) {
      case OpClass::Source: return classify_source(id);
      case OpClass::Sort:
      case OpClass::Control: return Disposition::Step;
      case OpClass::View: {
        if (d.arity != 1) return Disposition::Grouped;
        const uint32_t from = node(id).operands[0].node;
        const bool of_source =
            plan_.disposition[from] == Disposition::Inline && source_cost(from) <= kMaxInlineCost;
        return d.same_bytes && !of_source ? Disposition::Alias : Disposition::Inline;
      }
      case OpClass::Elementwise:
        return source_cost(id) <= kMaxInlineCost ? Disposition::Inline : Disposition::Grouped;
      case OpClass::Gather:
      case OpClass::Reduce:
      case OpClass::Contract:
      case OpClass::Cumulative:
      case OpClass::Scatter: return Disposition::Grouped;
    }
    __builtin_unreachable();
  }

  void materialise(Value v) {
    if (disposition(v.node) == Disposition::Inline) disposition(v.node) = Disposition::Grouped;
  }

  void classify() {
    for (uint32_t id = 0; id < count_; ++id)
      if (live_[id] || node(id).op == OpId::parameter) disposition(id) = classify_node(id);
    // Views of a core's result that nothing else reads are computed in the core's kernel.
    for (uint32_t id = 0; id < count_; ++id) {
      if (!live_[id]) continue;
      if ((disposition(id) == Disposition::Inline && joins_core_as_view(id)) ||
          (disposition(id) == Disposition::Alias && joins_core_as_reshape(id)))
        disposition(id) = Disposition::Grouped;
    }
    for (const GraphOutput& out : graph_.outputs()) materialise(out.value);
    for (uint32_t id = 0; id < count_; ++id) {
      if (!live_[id]) continue;
      const Node& n = node(id);
      if (disposition(id) == Disposition::Step)
        for (const Value& v : n.operands) materialise(v);
      if (disposition(id) == Disposition::Alias || def(id).cls == OpClass::Gather)
        materialise(n.operands[0]);
    }
  }

  bool joins_core_as_view(uint32_t id) const {
    const OpDef& d = def(id);
    if (d.cls != OpClass::View || d.arity != 1 || d.same_bytes) return false;
    const uint32_t from = node(id).operands[0].node;
    const OpClass source = def(from).cls;
    return (source == OpClass::Contract || source == OpClass::Reduce) && users_[from].size() == 1 &&
           !is_output(from) && elements(id) == elements(from) && !is_better_read_through(id);
  }

  // A reshape that merges neighbouring axes of a core's result, or of its transpose, before
  // elementwise nodes.
  bool joins_core_as_reshape(uint32_t id) const {
    if (!def(id).same_bytes || is_output(id)) return false;
    const uint32_t from = node(id).operands[0].node;
    const OpClass source = def(from).cls;
    const bool of_core = source == OpClass::Contract || source == OpClass::Reduce ||
                         (disposition(from) == Disposition::Grouped && joins_core_as_view(from));
    return of_core && users_[from].size() == 1 && !is_output(from) &&
           merges_axes(dims(from), dims(id)) && std::ranges::any_of(users_[id], [&](uint32_t u) {
             return def(u).cls == OpClass::Elementwise;
           });
  }

  static bool merges_axes(const Dims& from, const Dims& to) {
    size_t i = 0;
    for (const int64_t extent : to) {
      int64_t product = 1;
      while (product < extent && i < from.size()) product *= from[i++];
      if (product != extent) return false;
    }
    return std::all_of(from.begin() + static_cast<int64_t>(i), from.end(),
                       [](int64_t extent) { return extent == 1; });
  }

  // A transpose that moves the last axis away, before kernels that read through views: the core
  // would scatter what it holds side by side.
  bool is_better_read_through(uint32_t id) const {
    const auto* a = std::get_if<PermAttrs>(&node(id).attrs);
    if (!a || a->perm.back() + 1 == std::ssize(a->perm) || is_output(id)) return false;
    return std::ranges::all_of(users_[id], [&](uint32_t user) {
      const OpClass c = def(user).cls;
      return c == OpClass::Contract || c == OpClass::Reduce ||
             (c == OpClass::View && !def(user).same_bytes);
    });
  }

  bool is_output(uint32_t id) const {
    for (const GraphOutput& out : graph_.outputs())
      if (out.value.node == id) return true;
    return false;
  }

  bool is_core(uint32_t id) const {
    const OpClass c = def(id).cls;
    return c == OpClass::Reduce || c == OpClass::Contract || c == OpClass::Cumulative ||
           c == OpClass::Scatter;
  }

  int new_group(uint32_t id) {
    FusionGroup group;
    group.nodes = {id};
    group.dims = group.shape = dims(id);
    if (is_core(id)) group.core = id;
    plan_.groups.push_back(std::move(group));
    return plan_.group_of[id] = static_cast<int>(plan_.groups.size()) - 1;
  }

  void place(uint32_t id) {
    if (def(id).cls == OpClass::View && def(id).arity == 1) {
      const int g = plan_.group_of[node(id).operands[0].node];
      const bool view = joins_core_as_view(id);
      if (g >= 0 && (view || joins_core_as_reshape(id))) {
        FusionGroup& group = plan_.groups[static_cast<size_t>(g)];
        group.nodes.push_back(id);
        group.shape = dims(id);
        if (view) group.dims = group.shape;
        plan_.group_of[id] = g;
        return;
      }
    }
    if (def(id).cls != OpClass::Elementwise) {
      new_group(id);
      return;
    }
    const int own = new_group(id);
    for (const Value& v : node(id).operands) {
      const int other = plan_.group_of[v.node];
      if (other >= 0 && other != plan_.group_of[id] && can_merge(plan_.group_of[id], other))
        merge(plan_.group_of[id], other);
    }
    (void)own;
  }

  bool can_merge(int a, int b) {
    const FusionGroup& x = plan_.groups[static_cast<size_t>(a)];
    const FusionGroup& y = plan_.groups[static_cast<size_t>(b)];
    if (x.shape != y.shape || (x.core >= 0 && y.core >= 0) ||
        x.nodes.size() + y.nodes.size() > kMaxGroupNodes)
      return false;
    for (int64_t core : {x.core, y.core})
      if (core >= 0 && def(static_cast<uint32_t>(core)).cls != OpClass::Reduce &&
          def(static_cast<uint32_t>(core)).cls != OpClass::Contract)
        return false;
    return !reads_indirectly(a, b) && !reads_indirectly(b, a);
  }

  // True if group `reader` depends on group `from` by any way but its members reading members of
  // `from` elementwise.
  bool reads_indirectly(int reader, int from) {
    ++epoch_;
    const FusionGroup& target = plan_.groups[static_cast<size_t>(from)];
    const uint32_t oldest = target.nodes.front();
    std::vector<uint32_t> stack;
    for (uint32_t id : plan_.groups[static_cast<size_t>(reader)].nodes) {
      const bool elementwise = def(id).cls == OpClass::Elementwise;
      for (const Value& v : node(id).operands) {
        if (plan_.group_of[v.node] == reader) continue;
        if (elementwise && plan_.group_of[v.node] == from) continue;
        stack.push_back(v.node);
      }
    }
    while (!stack.empty()) {
      const uint32_t id = stack.back();
      stack.pop_back();
      if (visited_[id] == epoch_) continue;
      visited_[id] = epoch_;
      const int g = plan_.group_of[id];
      if (g == from) return true;
      if (g == reader) continue;
      if (g < 0) {
        if (id > oldest)
          for (const Value& v : node(id).operands) stack.push_back(v.node);
        continue;
      }
      const FusionGroup& group = plan_.groups[static_cast<size_t>(g)];
      if (group.nodes.back() < oldest) continue;
      for (uint32_t member : group.nodes)
        for (const Value& v : node(member).operands)
          if (plan_.group_of[v.node] != g) stack.push_back(v.node);
    }
    return false;
  }

  void merge(int into, int from) {
    FusionGroup& a = plan_.groups[static_cast<size_t>(into)];
    FusionGroup& b = plan_.groups[static_cast<size_t>(from)];
    for (uint32_t id : b.nodes) plan_.group_of[id] = into;
    std::vector<uint32_t> nodes;
    std::merge(a.nodes.begin(), a.nodes.end(), b.nodes.begin(), b.nodes.end(),
               std::back_inserter(nodes));
    a.nodes = std::move(nodes);
    if (b.core >= 0) a.core = b.core, a.dims = b.dims;
    b.nodes.clear();
  }

  // Who reads node `id`, looking through inlined nodes: groups, ~control or ~alias nodes, outputs.
  // `ok` becomes false where reading inside a kernel would repeat the computation.
  void readers(uint32_t id, int64_t budget, std::set<int64_t>* out, bool* ok) const {
    if (is_output(id)) out->insert(kOutputReader);
    for (uint32_t u : users_[id]) {
      const int g = plan_.group_of[u];
      if (g < 0 && plan_.disposition[u] == Disposition::Inline) {
        if (elements(u) > budget) *ok = false;
        readers(u, budget, out, ok);
        continue;
      }
      out->insert(g >= 0 ? g : ~static_cast<int64_t>(u));
      const OpClass c = def(u).cls;
      const Node& n = node(u);
      const bool index_operand = (c == OpClass::Gather || c == OpClass::Scatter) &&
                                 std::any_of(n.operands.begin(), n.operands.begin() + 2,
                                             [&](Value v) { return v.node == id; });
      if (c == OpClass::Contract || c == OpClass::Cumulative || index_operand) *ok = false;
    }
  }

  // A map group with one result that one other group reads, element for element, moves into it.
  void absorb_prologues() {
    std::vector<int> order;
    for (int g = 0; g < std::ssize(plan_.groups); ++g)
      if (!plan_.groups[static_cast<size_t>(g)].nodes.empty()) order.push_back(g);
    std::sort(order.begin(), order.end(), [&](int a, int b) {
      return plan_.groups[static_cast<size_t>(a)].nodes.back() >
             plan_.groups[static_cast<size_t>(b)].nodes.back();
    });
    for (int g : order) absorb(g);
  }

  void absorb(int g) {
    FusionGroup& group = plan_.groups[static_cast<size_t>(g)];
    if (group.core >= 0) return;
    int64_t reader = -1;
    for (uint32_t id : group.nodes) {
      std::set<int64_t> who;
      bool ok = true;
      readers(id, elements(id), &who, &ok);
      who.erase(g);
      if (who.empty()) continue;
      if (!ok || who.size() != 1 || reader >= 0 || *who.begin() < 0 ||
          *who.begin() == kOutputReader)
        return;
      reader = *who.begin();
    }
    if (reader < 0) return;
    FusionGroup& target = plan_.groups[static_cast<size_t>(reader)];
    if (target.nodes.size() + group.nodes.size() > kMaxGroupNodes) return;
    const Dims dims = target.dims;
    const int64_t core = target.core;
    merge(static_cast<int>(reader), g);
    target.dims = dims;
    target.core = core;
  }

  // What only a reduction reads leaves its group for the reduction's where its operands are no more
  // to read than it is to write and read: squares of which a norm is the sum. What 16 bits hold
  // stays, as it is rounded where it is written; so do exponentials and their like, whose long
  // chains run slower beside accumulators (measured). A product's kernel stays, so what leaves it
  // is made of what others read too: that is in memory, and the cache has one tensor less to hold.
  void move_into_reduction(int g) {
    FusionGroup& group = plan_.groups[static_cast<size_t>(g)];
    if (group.core < 0 || group.nodes.empty()) return;
    const auto core = static_cast<uint32_t>(group.core);
    const auto* axes = std::get_if<AxesAttrs>(&node(core).attrs);
    if (!axes || axes->axes.size() != 1 || def(core).cls != OpClass::Reduce) return;
    const uint32_t last = node(core).operands[0].node;
    const int from = plan_.group_of[last];
    if (from < 0 || from == g) return;
    const int64_t of_core = plan_.groups[static_cast<size_t>(from)].core;
    if (of_core >= 0 && def(static_cast<uint32_t>(of_core)).cls != OpClass::Contract) return;
    std::set<uint32_t> moved, seen = {last};
    int64_t traffic = 0;
    bool ordered = false;
    for (auto next = seen.end(); next != seen.begin();) {
      const uint32_t id = *--next;
      if (const DType t = node(id).types[0].dtype; is_float(t) && byte_size(t) == 2) return;
      if (may_move(id, from, core, moved)) {
        moved.insert(id);
        for (const Value& v : node(id).operands) seen.insert(v.node);
        continue;
      }
      if (!walked_in_order(id)) return;
      if (disposition(id) == Disposition::Inline) continue;
      ordered = ordered || elements(id) == elements(last);
      if (of_core >= 0 && !is_read_outside(id, from)) return;
      traffic += bytes(id) * (is_read_outside(id, from) ? 1 : 2);
    }
    if (moved.empty() || !ordered || traffic > 2 * bytes(last) ||
        group.nodes.size() + moved.size() > kMaxGroupNodes)
      return;
    std::erase_if(plan_.groups[static_cast<size_t>(from)].nodes,
                  [&](uint32_t id) { return moved.contains(id); });
    for (const uint32_t id : moved) plan_.group_of[id] = g;
    group.nodes.insert(group.nodes.end(), moved.begin(), moved.end());
    std::ranges::sort(group.nodes);
  }

  bool may_move(uint32_t id, int from, uint32_t core, const std::set<uint32_t>& moved) const {
    const std::optional<Scalar> scalar = parse_scalar(def(id).name);
    const bool is_long = scalar && info(*scalar).cls == ScalarClass::expanded;
    return plan_.group_of[id] == from && def(id).cls == OpClass::Elementwise && !is_long &&
           !is_output(id) && std::ranges::all_of(users_[id], [&](uint32_t u) {
             return u == core || moved.contains(u);
           });
  }

  bool is_read_outside(uint32_t id, int g) const {
    return plan_.group_of[id] != g || is_output(id) ||
           std::ranges::any_of(users_[id], [&](uint32_t u) { return plan_.group_of[u] != g; });
  }

  // Whether reading an operand in a reduction over one axis leaves the order of its sum to the
  // others: values in memory, and those that are the same along some axes.
  bool walked_in_order(uint32_t id) const {
    if (disposition(id) != Disposition::Inline) return true;
    const OpClass c = def(id).cls;
    return (c == OpClass::Source || c == OpClass::Elementwise ||
            std::holds_alternative<BroadcastAttrs>(node(id).attrs)) &&
           std::ranges::all_of(node(id).operands,
                               [&](const Value& v) { return walked_in_order(v.node); });
  }

  // Comparisons and what is made of truth values alone.
  bool is_mask(uint32_t id) const {
    const auto& operands = node(id).operands;
    return def(id).cls == OpClass::Elementwise &&
           (node(id).types[0].dtype == DType::boolean ||
            std::ranges::all_of(operands, [&](const Value& v) {
              return node(v.node).types[0].dtype == DType::boolean;
            }));
  }

  // Values in memory that a kernel of these nodes alone reads.
  void add_sources(uint32_t id, int own, std::set<uint32_t>& out) const {
    for (const Value& v : node(id).operands) {
      if (plan_.group_of[v.node] == own) continue;
      if (plan_.disposition[v.node] == Disposition::Inline) add_sources(v.node, own, out);
      else out.insert(v.node);
    }
  }

  int64_t bytes(uint32_t id) const { return elements(id) * byte_size(node(id).types[0].dtype); }

  // Masks that several kernels read, element for element, are cheaper to compute again than to
  // write and to read, where what they are computed from is about as large: which element of a
  // window is the greatest, in the gradient of pooling.
  void repeat_masks() {
    for (int g = 0; g < std::ssize(plan_.groups); ++g) {
      FusionGroup& group = plan_.groups[static_cast<size_t>(g)];
      if (group.nodes.empty() ||
          !std::ranges::all_of(group.nodes, [&](uint32_t id) { return is_mask(id); }))
        continue;
      std::set<int64_t> who;
      std::set<uint32_t> sources;
      bool ok = true;
      int64_t written = 0;
      for (uint32_t id : group.nodes) {
        std::set<int64_t> here;
        readers(id, elements(id), &here, &ok);
        here.erase(g);
        if (!here.empty()) written += bytes(id);
        who.merge(here);
        add_sources(id, g, sources);
      }
      int64_t read = 0;
      for (uint32_t id : sources) read += bytes(id);
      const auto times = std::ssize(who);
      if (!ok || who.empty() || *who.begin() < 0 || who.contains(kOutputReader) ||
          times * read > read + (1 + times) * written)
        continue;
      for (uint32_t id : group.nodes) {
        plan_.group_of[id] = -1;
        disposition(id) = Disposition::Inline;
      }
      group.nodes.clear();
    }
  }

  void find_outputs() {
    for (int g = 0; g < std::ssize(plan_.groups); ++g) {
      FusionGroup& group = plan_.groups[static_cast<size_t>(g)];
      for (uint32_t id : group.nodes) {
        std::set<int64_t> who;
        bool ok = true;
        readers(id, INT64_MAX, &who, &ok);
        who.erase(g);
        if (!who.empty()) group.outputs.push_back({id, 0});
      }
    }
  }

  // Groups that only outputs read come last: they may then write over an input that others read
  // before.
  bool only_outputs_read(int g) const {
    const FusionGroup& group = plan_.groups[static_cast<size_t>(g)];
    return std::ranges::all_of(group.outputs, [&](const Value& v) {
      std::set<int64_t> who;
      bool ok = true;
      readers(v.node, INT64_MAX, &who, &ok);
      who.erase(g);
      return who == std::set<int64_t>{kOutputReader};
    });
  }

  void find_order() {
    plan_.order = order_groups(graph_, plan_, live_);
    std::stable_partition(plan_.order.begin(), plan_.order.end(), [&](int64_t item) {
      return item < 0 || !only_outputs_read(static_cast<int>(item));
    });
  }

  const Graph& graph_;
  uint32_t count_;
  std::vector<std::vector<uint32_t>> users_;
  std::vector<bool> live_;
  std::vector<uint32_t> visited_;
  uint32_t epoch_ = 0;
  FusionPlan plan_;
};

}  // namespace

FusionPlan fuse(const Graph& g) { return Fuser(g).run(); }

}  // namespace lathe
