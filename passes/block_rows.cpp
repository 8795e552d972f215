#include "passes/block_rows.h"

#include <algorithm>
#include <set>

#include "ir/expr.h"
#include "ir/op.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

// Parts [start, start + count * size) of an axis: `count` iterations of `size` parts each.
struct Segment {
  int64_t start = 0, count = 1, size = 1;
};

// Blocks of about block_bytes, of whole register tiles; all of one size where that is near.
std::vector<Segment> cut(int64_t extent, int64_t part_bytes, const RowLimits& limits) {
  const int64_t wanted = limits.block_bytes / std::max<int64_t>(part_bytes, 1);
  const int64_t most = std::max(wanted, limits.least_rows);
  if (extent <= most) return {{0, 1, extent}};
  int64_t size = most;
  while (2 * size > most && extent % size != 0) --size;
  if (extent % size == 0) return {{0, extent / size, size}};
  size = most - most % std::min<int64_t>(most, 8);
  return {{0, extent / size, size}, {extent / size * size, 1, extent % size}};
}

// Writes the loops of one region into a graph.
class Blocks {
 public:
  Blocks(const Graph& g, const RowRegion& r, const std::vector<bool>& sources,
         const RowLimits& limits)
      : g_(g), r_(r), sources_(sources) {
    for (const RegionAxis& a : r.axes) cuts_.push_back({{0, a.extent, 1}});
    cuts_.back() = cut(r.axes.back().extent, r.row_bytes, limits);
    for (const uint32_t id : r.nodes)
      for (size_t i = 0; i < g.nodes()[id].operands.size(); ++i) find_given(id, i);
    for (size_t l = 0; l < r.axes.size(); ++l) counted_.push_back(counts(l));
  }

  std::vector<Value> given() const {
    std::vector<Value> out;
    for (const Given& x : given_) out.push_back(x.value);
    return out;
  }

  // The region's results; `whole` are the values of given().
  std::vector<Expr> emit(Graph& target, const std::vector<Value>& whole) {
    State s;
    for (const Value& v : whole) s.given.push_back({&target, v});
    s.cut.resize(r_.axes.size());
    return loop(target, 0, s);
  }

 private:
  // A value of outside, and how it is cut where a node inside reads it.
  struct Given {
    Value value;
    EdgeAxes axes;
    friend auto operator<=>(const Given&, const Given&) = default;
  };
  // Where one axis stands: iteration `index` (the only one, 0, where undefined) of a segment.
  struct Cut {
    Segment segment;
    Expr index;
  };
  struct State {
    std::vector<Expr> given;
    std::vector<Cut> cut;
  };

  bool inside(Value v) const { return std::ranges::binary_search(r_.nodes, v.node); }

  void find_given(uint32_t id, size_t operand) {
    const Value v = g_.nodes()[id].operands[operand];
    if (inside(v) && !is_product(id)) return;
    Given x{v, edge_axes(g_, r_, id, operand)};
    const bool whole = std::ranges::all_of(x.axes, [](int a) { return a < 0; });
    if ((whole && sources_[v.node]) || std::ranges::find(given_, x) != given_.end()) return;
    given_.push_back(std::move(x));
  }

  // The products begin a region: their factors come from outside, whatever makes them.
  bool is_product(uint32_t id) const { return r_.products.contains(id); }

  size_t place_of(const Given& x) const {
    return static_cast<size_t>(std::ranges::find(given_, x) - given_.begin());
  }

  // An iota along axis l inside needs to know the iteration.
  bool counts(size_t l) const {
    return std::ranges::any_of(r_.nodes, [&](uint32_t id) {
      const auto* a = std::get_if<IotaAttrs>(&g_.nodes()[id].attrs);
      return a && r_.axes[l].at({id, 0}) == static_cast<int>(a->axis);
    });
  }

  int64_t unit(Value v, int axis, size_t l) const {
    return g_.type(v).shape[axis].value() / r_.axes[l].extent;
  }

  // The shape of v in one iteration of the axes before l.
  Shape shape_at(Value v, const EdgeAxes& axes, size_t l, const State& s) const {
    Shape shape = g_.type(v).shape;
    for (size_t k = 0; k < l; ++k)
      if (axes[k] >= 0) shape[axes[k]] = Dim(unit(v, axes[k], k) * s.cut[k].segment.size);
    return shape;
  }

  EdgeAxes axes_of(Value v) const {
    EdgeAxes out;
    for (const RegionAxis& a : r_.axes) out.push_back(a.at(v));
    return out;
  }

  std::vector<Expr> loop(Graph& g, size_t l, const State& s) {
    if (l == r_.axes.size()) return body(g, s);
    std::vector<std::vector<Expr>> pieces(r_.results.size());
    for (const Segment& seg : cuts_[l]) {
      State cut = s;
      cut.cut[l] = {seg, {}};
      for (size_t i = 0; i < given_.size(); ++i)
        if (const int axis = given_[i].axes[l]; axis >= 0)
          cut.given[i] = take(s.given[i], axis, seg, unit(given_[i].value, axis, l));
      std::vector<Expr> sums;
      for (size_t k = 0; k < pieces.size(); ++k)
        if (r_.axes[l].at(r_.results[k]) < 0)
          sums.push_back(pieces[k].empty() ? Expr() : pieces[k].back());
      const std::vector<Expr> part =
          seg.count == 1 ? once(g, l, cut, sums) : scanned(g, l, cut, sums);
      for (size_t k = 0; k < pieces.size(); ++k) {
        if (r_.axes[l].at(r_.results[k]) < 0) pieces[k].clear();
        pieces[k].push_back(part[k]);
      }
    }
    std::vector<Expr> out;
    for (size_t k = 0; k < pieces.size(); ++k)
      out.push_back(pieces[k].size() == 1 ? pieces[k][0]
                                          : concat(pieces[k], r_.axes[l].at(r_.results[k])));
    return out;
  }

  static Expr take(const Expr& x, int axis, const Segment& seg, int64_t unit) {
    const int64_t size = seg.count * seg.size * unit;
    if (x.shape()[axis] == Dim(size)) return x;
    return slice_axis(x, axis, seg.start * unit, size);
  }

  std::vector<Expr> once(Graph& g, size_t l, const State& s, const std::vector<Expr>& sums) {
    std::vector<Expr> out = loop(g, l + 1, s);
    size_t next = 0;
    for (size_t k = 0; k < out.size(); ++k) {
      if (r_.axes[l].at(r_.results[k]) >= 0) continue;
      const Expr& before = sums[next++];
      if (before.defined()) out[k] = before + out[k];
    }
    return out;
  }

  // The blocks of x along `axis`, one behind the other; back is the reverse.
  static Expr stacked(const Expr& x, int axis, int64_t count) {
    Dims dims = x.shape().static_dims(), perm{axis};
    const auto at = dims.begin() + axis;
    const bool first = std::all_of(dims.begin(), at, [](int64_t d) { return d == 1; });
    *at /= count;
    if (first) {
      dims.insert(dims.begin(), count);
      return reshape(x, Shape(dims));
    }
    dims.insert(at, count);
    for (int64_t i = 0; i < std::ssize(dims); ++i)
      if (i != axis) perm.push_back(i);
    return transpose(reshape(x, Shape(dims)), std::move(perm));
  }

  static Expr joined(const Expr& x, int axis) {
    Dims dims = x.shape().static_dims(), perm;
    const int64_t count = dims[0];
    dims.erase(dims.begin());
    const bool first =
        std::all_of(dims.begin(), dims.begin() + axis, [](int64_t d) { return d == 1; });
    dims[static_cast<size_t>(axis)] *= count;
    if (first) return reshape(x, Shape(dims));
    for (int i = 0; i < axis; ++i) perm.push_back(i + 1);
    perm.push_back(0);
    for (int64_t i = axis + 1; i <= std::ssize(dims); ++i) perm.push_back(i);
    return reshape(transpose(x, std::move(perm)), Shape(dims));
  }

  std::vector<Expr> scanned(Graph& g, size_t l, const State& s, const std::vector<Expr>& sums) {
    const Segment& seg = s.cut[l].segment;
    auto step = std::make_shared<Graph>("rows");
    std::vector<Expr> carries, stacks, constants, carried;
    const auto row_of = [&](const Expr& stack, const std::string& name) {
      TensorType t = stack.type();
      t.shape = Shape(std::vector<Dim>(t.shape.begin() + 1, t.shape.end()));
      stacks.push_back(stack);
      return input(*step, name, t);
    };
    size_t next = 0;
    for (const Value& v : r_.results) {
      if (r_.axes[l].at(v) >= 0) continue;
      const TensorType type{g_.type(v).dtype, shape_at(v, axes_of(v), l, s)};
      const Expr& before = sums[next];
      carries.push_back(before.defined() ? before : full(g, type, 0));
      carried.push_back(input(*step, fmt::format("sum{}", next++), type));
    }
    State inner = s;
    for (size_t i = 0; i < given_.size(); ++i)
      if (const int axis = given_[i].axes[l]; axis >= 0)
        inner.given[i] = row_of(stacked(s.given[i], axis, seg.count), fmt::format("part{}", i));
    if (counted_[l]) inner.cut[l].index = row_of(iota(g, DType::i64, Shape{seg.count}, 0), "index");
    const auto pass_on = [&](Expr& e, const std::string& name) {
      if (!e.defined() || e.graph == step.get()) return;
      constants.push_back(e);
      e = input(*step, name, e.type());
    };
    for (size_t i = 0; i < given_.size(); ++i) pass_on(inner.given[i], fmt::format("whole{}", i));
    for (Cut& c : inner.cut) pass_on(c.index, fmt::format("outer{}", constants.size()));

    const std::vector<Expr> made = loop(*step, l + 1, inner);
    next = 0;
    for (size_t k = 0; k < made.size(); ++k)
      if (r_.axes[l].at(r_.results[k]) < 0)
        step->add_output(fmt::format("sum{}", next), (carried[next] + made[k]).value), ++next;
    for (size_t k = 0; k < made.size(); ++k)
      if (r_.axes[l].at(r_.results[k]) >= 0)
        step->add_output(fmt::format("part{}", k), made[k].value);
    const std::vector<Expr> results = scan(g, step, carries, stacks, constants, seg.count);
    std::vector<Expr> out;
    size_t sum = 0, part = carries.size();
    for (const Value& v : r_.results) {
      const int axis = r_.axes[l].at(v);
      out.push_back(axis < 0 ? results[sum++] : joined(results[part++], axis));
    }
    return out;
  }

  std::vector<Expr> body(Graph& g, const State& s) {
    std::map<Value, Expr> made;
    for (const uint32_t id : r_.nodes) {
      const Node& n = g_.nodes()[id];
      std::vector<Value> operands;
      for (size_t i = 0; i < n.operands.size(); ++i)
        operands.push_back(operand(g, s, id, i, made).value);
      const Value v{id, 0};
      const Expr e{
          &g, g.add(n.op, std::move(operands),
                    attrs_at(n, shape_at(v, axes_of(v), r_.axes.size(), s)), n.regions, n.name)};
      made[v] = placed(e, n, s);
    }
    std::vector<Expr> out;
    for (const Value& v : r_.results) out.push_back(made.at(v));
    return out;
  }

  Expr operand(Graph& g, const State& s, uint32_t id, size_t i, std::map<Value, Expr>& made) {
    const Value v = g_.nodes()[id].operands[i];
    if (inside(v) && !is_product(id)) return made.at(v);
    const size_t at = place_of({v, edge_axes(g_, r_, id, i)});
    return at < given_.size() ? s.given[at] : copy_source(g, v, made);
  }

  Expr copy_source(Graph& g, Value v, std::map<Value, Expr>& made) {
    if (const auto found = made.find(v); found != made.end()) return found->second;
    const Node& n = g_.node(v);
    std::vector<Value> operands;
    for (const Value& x : n.operands) operands.push_back(copy_source(g, x, made).value);
    return made[v] = {&g, g.add(n.op, std::move(operands), n.attrs, n.regions, n.name)};
  }

  static Attrs attrs_at(const Node& n, const Shape& shape) {
    Attrs attrs = n.attrs;
    if (auto* a = std::get_if<BroadcastAttrs>(&attrs)) a->shape = shape;
    if (auto* a = std::get_if<ShapeAttrs>(&attrs)) a->shape = shape;
    if (auto* a = std::get_if<IotaAttrs>(&attrs)) a->shape = shape;
    if (auto* a = std::get_if<SliceAttrs>(&attrs)) a->size = shape.dims();
    return attrs;
  }

  // An iota along an axis that is cut begins where its block does.
  Expr placed(Expr e, const Node& n, const State& s) const {
    const auto* a = std::get_if<IotaAttrs>(&n.attrs);
    if (!a) return e;
    for (size_t l = 0; l < r_.axes.size(); ++l) {
      const Value v{static_cast<uint32_t>(&n - g_.nodes().data()), 0};
      if (r_.axes[l].at(v) != static_cast<int>(a->axis)) continue;
      const Cut& c = s.cut[l];
      const int64_t size = unit(v, static_cast<int>(a->axis), l);
      if (c.index.defined()) {
        const Expr first = c.index * static_cast<double>(c.segment.size * size);
        e = e + broadcast_to(cast(first, a->dtype), e.shape());
      }
      if (c.segment.start > 0) e = e + static_cast<double>(c.segment.start * size);
    }
    return e;
  }

  const Graph& g_;
  const RowRegion& r_;
  const std::vector<bool>& sources_;
  std::vector<std::vector<Segment>> cuts_;  // by axis
  std::vector<Given> given_;
  std::vector<bool> counted_;  // by axis
};

// Copies a graph with loops in place of regions, a region where all that it reads is there.
class Rewriter {
 public:
  Rewriter(const Graph& g, const std::vector<RowRegion>& regions, const RowLimits& limits)
      : g_(g), sources_(source_only(g)), region_of_(g.nodes().size(), -1) {
    for (const RowRegion& r : regions) {
      for (const Value& v : r.results) region_of_[v.node] = static_cast<int>(blocks_.size());
      results_.push_back(r.results);
      blocks_.emplace_back(g, r, sources_, limits);
    }
  }

  Graph run() {
    Graph target(g_.name());
    for (const GraphInput& in : g_.inputs())
      map_[in.value] = target.add_input(in.name, in.type, in.role);
    const std::vector<bool> wanted = find_wanted();
    for (uint32_t id = 0; id < wanted.size(); ++id)
      if (wanted[id]) copy(target, id);
    for (const GraphOutput& out : g_.outputs())
      target.add_output(out.name, map_.at(out.value), out.updates);
    return target;
  }

 private:
  std::vector<Value> reads(uint32_t id) const {
    const int r = region_of_[id];
    return r >= 0 ? blocks_[static_cast<size_t>(r)].given() : g_.nodes()[id].operands;
  }

  std::vector<bool> find_wanted() const {
    std::vector<bool> wanted(g_.nodes().size(), false);
    std::vector<uint32_t> work;
    const auto want = [&](Value v) {
      if (!wanted[v.node]) wanted[v.node] = true, work.push_back(v.node);
    };
    for (const GraphOutput& out : g_.outputs()) want(out.value);
    while (!work.empty()) {
      const uint32_t id = work.back();
      work.pop_back();
      std::ranges::for_each(reads(id), want);
    }
    return wanted;
  }

  // What a region reads may stand behind its first result.
  void copy(Graph& target, uint32_t root) {
    std::vector<uint32_t> work{root};
    while (!work.empty()) {
      const uint32_t id = work.back();
      const std::vector<Value> needed = reads(id);
      const size_t before = work.size();
      if (!map_.contains({id, 0}))
        for (const Value& v : needed)
          if (!map_.contains(v)) work.push_back(v.node);
      LATHE_ASSERT(work.size() <= 64 * g_.nodes().size() + 64, "regions of '{}' read each other",
                   g_.name());
      if (work.size() != before) continue;
      work.pop_back();
      if (!map_.contains({id, 0})) add(target, id, needed);
    }
  }

  void add(Graph& target, uint32_t id, const std::vector<Value>& needed) {
    const Node& n = g_.nodes()[id];
    std::vector<Value> operands;
    for (const Value& v : needed) operands.push_back(map_.at(v));
    if (const int r = region_of_[id]; r >= 0) {
      const auto at = static_cast<size_t>(r);
      target.set_current_name(n.name);
      const std::vector<Expr> made = blocks_[at].emit(target, operands);
      target.set_current_name({});
      for (size_t k = 0; k < made.size(); ++k) map_[results_[at][k]] = made[k].value;
      return;
    }
    const Value v = target.add(n.op, std::move(operands), n.attrs, n.regions, n.name);
    for (uint32_t k = 0; k < n.types.size(); ++k) map_[{id, k}] = {v.node, k};
  }

  const Graph& g_;
  std::vector<bool> sources_;
  std::vector<Blocks> blocks_;
  std::vector<std::vector<Value>> results_;  // by region
  std::vector<int> region_of_;               // by node: whose result it is, or -1
  std::map<Value, Value> map_;
};

Graph block_here(const Graph& g, const RowLimits& limits) {
  const std::vector<RowRegion> regions = find_row_regions(g, limits);
  return regions.empty() ? g : Rewriter(g, regions, limits).run();
}

}  // namespace

Graph block_rows(const Graph& g, const RowLimits& limits) {
  const auto here = [&](const Graph& part) { return block_here(part, limits); };
  return here(map_regions(g, here));
}

Graph block_rows(const Graph& g) { return block_rows(g, {}); }

}  // namespace lathe
