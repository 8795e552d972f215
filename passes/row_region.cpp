#include "passes/row_region.h"

#include <algorithm>
#include <set>

#include "ir/op.h"
#include "passes/operand_axes.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

using Users = std::vector<std::vector<uint32_t>>;  // live ones, by node

constexpr size_t kMostNodes = 256;

std::vector<bool> live_nodes(const Graph& g) {
  std::vector<Value> roots;
  for (const GraphOutput& out : g.outputs()) roots.push_back(out.value);
  return reachable(g, roots);
}

Users find_users(const Graph& g, const std::vector<bool>& live) {
  Users users(g.nodes().size());
  for (uint32_t id = 0; id < users.size(); ++id)
    if (live[id])
      for (const Value& v : g.nodes()[id].operands)
        if (users[v.node].empty() || users[v.node].back() != id) users[v.node].push_back(id);
  return users;
}

int64_t elements(const Graph& g, Value v) { return g.type(v).shape.element_count(); }

bool expands(const Graph& g, uint32_t id, const RowLimits& limits) {
  const Node& n = g.nodes()[id];
  if (n.op != OpId::dot_general) return false;
  const int64_t out = elements(g, {id, 0});
  return out * byte_size(n.types[0].dtype) >= limits.bytes &&
         out >= limits.ratio * (elements(g, n.operands[0]) + elements(g, n.operands[1]));
}

// What is computed from one expanding product, followed along one of its axes.
class Closure {
 public:
  Closure(const Graph& g, const Users& users, const std::vector<bool>& output,
          const RowLimits& limits, uint32_t product, int axis)
      : g_(g),
        users_(users),
        output_(output),
        limits_(limits),
        parts_(g.type({product, 0}).shape[axis].value()),
        small_(elements(g, {product, 0}) / limits.ratio) {
    ok_ = add({product, 0}, axis, true);
    while (ok_ && !work_.empty()) {
      const Value v = work_.back();
      work_.pop_back();
      ok_ = axis_.size() <= kMostNodes && visit(v);
    }
    ok_ = ok_ && std::ranges::all_of(axis_, [&](const auto& e) { return consistent(e.first); }) &&
          std::ranges::all_of(sinks_, [&](uint32_t s) { return consistent_sink(s); });
  }

  bool ok() const { return ok_ && !sinks_.empty(); }
  int64_t parts() const { return parts_; }
  const std::map<Value, int>& axis() const { return axis_; }
  // Small values made of large ones.
  const std::set<uint32_t>& sinks() const { return sinks_; }
  bool inside(Value v) const { return axis_.contains(v); }
  bool large(Value v) const { return elements(g_, v) > small_; }
  bool core(Value v) const { return core_.contains(v) || (!inside(v) && sinks_.contains(v.node)); }

 private:
  // `core`: it depends on an expanding product; then its readers belong to the region too.
  bool add(Value v, int axis, bool core) {
    const auto [found, fresh] = axis_.emplace(v, axis);
    if (!fresh) {
      if (found->second != axis) return false;
      if (!core || core_.contains(v)) return true;
    }
    if (core) core_.insert(v);
    work_.push_back(v);
    return true;
  }

  bool visit(Value v) {
    const Node& n = g_.node(v);
    const int axis = axis_.at(v);
    if (!expands(g_, v.node, limits_)) {
      const auto axes = operand_axes(g_, v.node, axis, parts_);
      if (!axes) return false;
      for (size_t i = 0; i < axes->size(); ++i)
        if ((*axes)[i] >= 0 && !visit_operand(n.operands[i], (*axes)[i])) return false;
    }
    if (!core_.contains(v)) return true;
    if (output_[v.node] && large(v)) return false;
    return std::ranges::all_of(users_[v.node], [&](uint32_t u) { return visit_user(v, axis, u); });
  }

  // What the region computes beside its products: masks and the like, down to what is given.
  bool visit_operand(Value w, int axis) {
    if (axis_.contains(w)) return axis_.at(w) == axis;
    const Node& n = g_.node(w);
    if (expands(g_, w.node, limits_)) return add(w, axis, true);
    if (n.op == OpId::parameter || n.op == OpId::constant || n.op == OpId::dot_general) return true;
    return !operand_axes(g_, w.node, axis, parts_) || add(w, axis, false);
  }

  bool visit_user(Value v, int axis, uint32_t u) {
    const Node& n = g_.nodes()[u];
    for (size_t i = 0; i < n.operands.size(); ++i) {
      if (n.operands[i] != v) continue;
      const auto operand = static_cast<int>(i);
      const int r = result_axis(g_, u, operand, axis, parts_);
      const bool summed = summed_axes(g_, u, operand, axis).has_value();
      if (n.op == OpId::dot_general || summed) {
        if (!large(v)) continue;  // read outside
        if (expands(g_, u, limits_) || (r < 0 && !summed) || large({u, 0})) return false;
        if (summed && byte_size(n.types[0].dtype) < 4) return false;  // sums would be rounded
        sinks_.insert(u);
      } else if (r >= 0) {
        if (!add({u, 0}, r, true)) return false;
        if (large(v) && !large({u, 0})) sinks_.insert(u);
      } else if (large(v)) {
        return false;
      }
    }
    return true;
  }

  // No part needs all of another value inside.
  bool consistent(Value v) const {
    const Node& n = g_.node(v);
    if (expands(g_, v.node, limits_))
      return std::ranges::none_of(n.operands, [&](Value x) { return core_.contains(x); });
    const auto axes = operand_axes(g_, v.node, axis_.at(v), parts_);
    for (size_t i = 0; i < n.operands.size(); ++i)
      if (inside(n.operands[i]) && axis_.at(n.operands[i]) != (*axes)[i]) return false;
    return true;
  }

  bool consistent_sink(uint32_t s) const {
    const Node& n = g_.nodes()[s];
    std::optional<std::vector<int>> axes;
    for (size_t i = 0; i < n.operands.size(); ++i) {
      if (!inside(n.operands[i])) continue;
      const int axis = axis_.at(n.operands[i]), operand = static_cast<int>(i);
      if (!axes) axes = summed_axes(g_, s, operand, axis);
      if (!axes) axes = operand_axes(g_, s, result_axis(g_, s, operand, axis, parts_), parts_);
      if ((*axes)[i] != axis) return false;
    }
    return true;
  }

  const Graph& g_;
  const Users& users_;
  const std::vector<bool>& output_;
  const RowLimits& limits_;
  int64_t parts_, small_;
  std::map<Value, int> axis_;
  std::set<Value> core_;
  std::set<uint32_t> sinks_;
  std::vector<Value> work_;
  bool ok_ = false;
};

// The regions of one closure. What the backward pass reads again, such as shares, depends on
// results of the forward pass by way of the rest of the model, so it is computed again in a later
// region; small values that an earlier region has are taken from there.
class Partition {
 public:
  Partition(const Graph& g, const Users& users, const std::vector<bool>& output,
            const RowLimits& limits, const Closure& closure)
      : g_(g), users_(users), output_(output), limits_(limits), closure_(closure) {}

  std::vector<RowRegion> run() {
    find_levels();
    std::vector<RowRegion> regions;
    for (int level = 0; level <= last_level_; ++level) regions.push_back(region_of(level));
    for (RowRegion& r : regions) find_results(r);
    std::erase_if(regions, [](const RowRegion& r) { return r.results.empty(); });
    return regions;
  }

 private:
  // Nodes of the closure that `roots` depend on, not looking beyond sinks of a lower level.
  std::set<uint32_t> backward(const std::vector<uint32_t>& roots, int level) const {
    std::set<uint32_t> seen(roots.begin(), roots.end());
    std::vector<uint32_t> work = roots;
    while (!work.empty()) {
      const uint32_t id = work.back();
      work.pop_back();
      if (expands(g_, id, limits_)) continue;
      for (const Value& v : g_.nodes()[id].operands) {
        const auto known = level_.find(v.node);
        if (known != level_.end() && known->second < level) continue;
        if (closure_.inside(v) && seen.insert(v.node).second) work.push_back(v.node);
      }
    }
    return seen;
  }

  void find_levels() {
    std::map<uint32_t, std::vector<bool>> dependents;
    for (const uint32_t s : closure_.sinks()) {
      int level = 0;
      for (const uint32_t id : backward({s}, 0))
        for (const Value& v : g_.nodes()[id].operands) {
          if (closure_.inside(v)) continue;
          for (const auto& [t, marks] : dependents)
            if (marks[v.node]) level = std::max(level, level_.at(t) + 1);
        }
      std::vector<bool>& marks = dependents[s];
      marks.assign(g_.nodes().size(), false);
      marks[s] = true;
      for (size_t id = s; id < marks.size(); ++id)
        for (const Value& v : g_.nodes()[id].operands)
          if (marks[v.node]) marks[id] = true;
      level_[s] = level;
      last_level_ = std::max(last_level_, level);
    }
  }

  RowRegion region_of(int level) {
    std::vector<uint32_t> roots;
    for (const auto& [s, at] : level_)
      if (at == level) roots.push_back(s);
    RowRegion r;
    const std::set<uint32_t> nodes = backward(roots, level);
    r.nodes.assign(nodes.begin(), nodes.end());
    read_.insert(nodes.begin(), nodes.end());
    for (const uint32_t id : r.nodes) {
      if (expands(g_, id, limits_)) r.products.insert(id);
      for (const Value& v : g_.nodes()[id].operands)
        if (r.products.contains(id) || !nodes.contains(v.node)) wanted_.insert(v);
    }
    RegionAxis rows{closure_.parts()};
    for (const uint32_t id : r.nodes)
      if (closure_.inside({id, 0})) rows.of[{id, 0}] = closure_.axis().at({id, 0});
    for (const uint32_t id : roots)
      if (const int axis = kept_axis(id); axis >= 0) rows.of[{id, 0}] = axis;
    add_batches(r);
    r.axes.push_back(std::move(rows));
    find_columns(r);
    for (const uint32_t id : r.products) {
      int64_t bytes = elements(g_, {id, 0}) * byte_size(g_.nodes()[id].types[0].dtype);
      for (const RegionAxis& a : r.axes) bytes /= a.extent;
      r.row_bytes = std::max(r.row_bytes, bytes);
    }
    return r;
  }

  // Of a sink: where the rows are in its result, or -1 where it sums them.
  int kept_axis(uint32_t id) const {
    const Node& n = g_.nodes()[id];
    for (size_t i = 0; i < n.operands.size(); ++i)
      if (closure_.inside(n.operands[i]))
        return result_axis(g_, id, static_cast<int>(i), closure_.axis().at(n.operands[i]),
                           closure_.parts());
    return -1;
  }

  // A value that two regions compute is a result of the first.
  void find_results(RowRegion& r) {
    for (const uint32_t id : r.nodes) {
      const Value v{id, 0};
      const bool read = output_[id] || std::ranges::any_of(users_[id], [&](uint32_t u) {
                          return !read_.contains(u);
                        });
      if (closure_.core(v) && (read || wanted_.contains(v)) && !given_.contains(v))
        r.results.push_back(v);
    }
    given_.insert(r.results.begin(), r.results.end());
  }

  void add_batches(RowRegion& r) const {
    if (r.products.empty()) return;
    const uint32_t id = *r.products.begin();
    const size_t batches = std::get<DotAttrs>(g_.nodes()[id].attrs).lhs_batch.size();
    for (int axis = 0; axis < static_cast<int>(batches); ++axis)
      if (auto found = follow(r, {id, 0}, axis, false)) r.axes.push_back(*std::move(found));
  }

  void find_columns(RowRegion& r) const {
    if (r.products.empty()) return;
    const Value product{*r.products.begin(), 0};
    const int rows = closure_.axis().at(product);
    for (int axis = g_.type(product).rank(); axis-- > 0 && r.columns.extent == 0;)
      if (axis != rows &&
          std::ranges::none_of(r.axes, [&](const RegionAxis& a) { return a.at(product) == axis; }))
        if (auto found = follow(r, product, axis, true)) r.columns = *std::move(found);
  }

  // An axis of the products through all of the region, but for sinks that sum it; where it `ends`
  // there, also through what else reduces it.
  std::optional<RegionAxis> follow(const RowRegion& r, Value from, int axis, bool ends) const {
    RegionAxis out{g_.type(from).shape[axis].value()};
    if (out.extent < 2) return std::nullopt;
    const auto inside = [&](Value v) { return std::ranges::binary_search(r.nodes, v.node); };
    std::vector<Value> work;
    const auto assign = [&](Value v, int at) {
      const auto [found, fresh] = out.of.emplace(v, at);
      if (fresh) work.push_back(v);
      return found->second == at;
    };
    assign(from, axis);
    while (!work.empty()) {
      const Value v = work.back();
      work.pop_back();
      const auto axes = operand_axes(g_, v.node, out.at(v), out.extent);
      if (!axes) return std::nullopt;
      const Node& n = g_.node(v);
      for (size_t i = 0; i < axes->size(); ++i)
        if ((*axes)[i] >= 0 && inside(n.operands[i]) && !expands(g_, v.node, limits_) &&
            !assign(n.operands[i], (*axes)[i]))
          return std::nullopt;
      for (const uint32_t u : users_[v.node]) {
        if (!inside({u, 0})) continue;
        for (size_t i = 0; i < g_.nodes()[u].operands.size(); ++i) {
          if (g_.nodes()[u].operands[i] != v) continue;
          const auto operand = static_cast<int>(i);
          const int at = result_axis(g_, u, operand, out.at(v), out.extent);
          const bool goes = at < 0 && (sums(u, operand, out.at(v)) || (ends && reduces(u)));
          if (at >= 0 ? !assign({u, 0}, at) : !goes) return std::nullopt;
        }
      }
    }
    return agrees(r, out, ends) ? std::optional(out) : std::nullopt;
  }

  bool reduces(uint32_t id) const { return op_def(g_.nodes()[id].op).cls == OpClass::Reduce; }

  bool sums(uint32_t id, int operand, int axis) const {
    return closure_.sinks().contains(id) && !closure_.inside({id, 0}) &&
           byte_size(g_.nodes()[id].types[0].dtype) >= 4 && summed_axes(g_, id, operand, axis);
  }

  bool agrees(const RowRegion& r, const RegionAxis& a, bool ends) const {
    for (const uint32_t id : r.nodes) {
      const Value v{id, 0};
      if (closure_.core(v) && closure_.inside(v) && a.at(v) < 0 && !(ends && !closure_.large(v)))
        return false;
      if (a.at(v) < 0 || expands(g_, id, limits_)) continue;
      const auto axes = operand_axes(g_, id, a.at(v), a.extent);
      const Node& n = g_.nodes()[id];
      for (size_t i = 0; i < n.operands.size(); ++i)
        if (std::ranges::binary_search(r.nodes, n.operands[i].node) &&
            a.at(n.operands[i]) != (*axes)[i])
          return false;
    }
    return true;
  }

  const Graph& g_;
  const Users& users_;
  const std::vector<bool>& output_;
  const RowLimits& limits_;
  const Closure& closure_;
  std::map<uint32_t, int> level_;  // of sinks
  int last_level_ = 0;
  std::set<uint32_t> read_;  // nodes of all regions
  std::set<Value> wanted_;   // what they read of outside
  std::set<Value> given_;    // their results
};

std::optional<std::vector<RowRegion>> regions_from(const Graph& g, const Users& users,
                                                   const std::vector<bool>& output,
                                                   const RowLimits& limits, uint32_t product) {
  const Node& n = g.nodes()[product];
  std::vector<int> candidates;
  const auto batches = static_cast<int>(std::get<DotAttrs>(n.attrs).lhs_batch.size());
  for (int axis = batches; axis < n.types[0].rank(); ++axis) candidates.push_back(axis);
  std::ranges::stable_sort(candidates, std::greater(),
                           [&](int axis) { return n.types[0].shape[axis].value(); });
  for (const int axis : candidates) {
    if (n.types[0].shape[axis].value() < 2 * limits.least_rows) continue;
    const Closure closure(g, users, output, limits, product, axis);
    if (closure.ok()) return Partition(g, users, output, limits, closure).run();
  }
  return std::nullopt;
}

}  // namespace

namespace {

int edge_axis(const Graph& g, const RegionAxis& a, uint32_t id, size_t operand) {
  const Node& n = g.nodes()[id];
  std::optional<std::vector<int>> axes;
  if (const int at = a.at({id, 0}); at >= 0) axes = operand_axes(g, id, at, a.extent);
  for (size_t i = 0; !axes && i < n.operands.size(); ++i)
    if (const int at = a.at(n.operands[i]); at >= 0)
      axes = summed_axes(g, id, static_cast<int>(i), at);
  return axes ? (*axes)[operand] : -1;
}

}  // namespace

EdgeAxes edge_axes(const Graph& g, const RowRegion& r, uint32_t id, size_t operand) {
  EdgeAxes out;
  for (const RegionAxis& a : r.axes) out.push_back(edge_axis(g, a, id, operand));
  out.push_back(edge_axis(g, r.columns, id, operand));
  return out;
}

std::vector<bool> source_only(const Graph& g) {
  std::vector<bool> out(g.nodes().size(), false);
  for (size_t id = 0; id < out.size(); ++id) {
    const Node& n = g.nodes()[id];
    const OpClass cls = op_def(n.op).cls;
    out[id] = (cls == OpClass::Source && n.op != OpId::parameter) ||
              ((cls == OpClass::Elementwise || cls == OpClass::View) && !n.operands.empty() &&
               std::ranges::all_of(n.operands, [&](Value v) { return bool{out[v.node]}; }));
  }
  return out;
}

std::vector<RowRegion> find_row_regions(const Graph& g, const RowLimits& limits) {
  const std::vector<bool> live = live_nodes(g);
  std::vector<uint32_t> products;
  for (uint32_t id = 0; id < live.size(); ++id)
    if (live[id] && expands(g, id, limits)) products.push_back(id);
  std::vector<RowRegion> out;
  if (products.empty()) return out;
  const Users users = find_users(g, live);
  std::vector<bool> output(live.size(), false);
  for (const GraphOutput& o : g.outputs()) output[o.value.node] = true;
  std::set<uint32_t> covered;
  for (const uint32_t product : products) {
    if (covered.contains(product)) continue;
    auto regions = regions_from(g, users, output, limits, product);
    if (!regions) continue;
    for (RowRegion& r : *regions) {
      covered.insert(r.nodes.begin(), r.nodes.end());
      out.push_back(std::move(r));
    }
  }
  return out;
}

}  // namespace lathe
