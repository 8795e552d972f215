#include "passes/block_rows.h"

#include <algorithm>
#include <set>

#include "ir/expr.h"
#include "ir/op.h"
#include "passes/column_panels.h"
#include "passes/hidden_columns.h"
#include "passes/rebuild.h"
#include "passes/rules.h"

namespace lathe {
namespace {

// Rows [start, start + count * size) of a region in `count` blocks of `size`, which need the first
// `columns` columns only.
struct Band {
  int64_t start = 0, count = 1, size = 1, columns = 0;
  int64_t end() const { return start + count * size; }
};

// Blocks of about block_bytes, of whole register tiles; all of one size where that is near.
std::vector<Band> cut(int64_t rows, int64_t row_bytes, const RowLimits& limits) {
  const int64_t wanted = limits.block_bytes / std::max<int64_t>(row_bytes, 1);
  const int64_t most = std::max(wanted, limits.least_rows);
  if (rows <= most) return {{0, 1, rows}};
  int64_t size = most;
  while (2 * size > most && rows % size != 0) --size;
  if (rows % size == 0) return {{0, rows / size, size}};
  size = most - most % std::min<int64_t>(most, 8);
  return {{0, rows / size, size}, {rows / size * size, 1, rows % size}};
}

// Where a mask hides columns of the first half of the rows, bands of rows that each take what their
// last row needs.
std::vector<Band> cut(const Graph& g, const RowRegion& r, const RowLimits& limits,
                      LiteralTails& tails) {
  const int64_t rows = r.axes.back().extent, all = r.columns.extent;
  std::vector<Band> bands = cut(rows, r.row_bytes, limits), out;
  const int64_t wanted = std::min(limits.most_bands, rows / limits.band_rows);
  const bool causal = wanted > 1 && visible_columns(g, r, 0, rows / 2, tails) < all;
  for (Band& band : bands) {
    const int64_t parts =
        causal ? std::clamp<int64_t>(wanted * band.count / bands[0].count, 1, band.count) : 1;
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t first = band.count * i / parts, last = band.count * (i + 1) / parts;
      out.push_back({band.start + first * band.size, last - first, band.size, all});
      if (!causal) continue;
      const int64_t seen = visible_columns(g, r, out.back().start, out.back().end(), tails);
      out.back().columns =
          std::min(all, (seen + kPanelColumns - 1) / kPanelColumns * kPanelColumns);
    }
  }
  return out;
}

// Writes the loops of one region into a graph.
class Blocks {
 public:
  Blocks(const Graph& g, const RowRegion& r, const std::vector<bool>& sources,
         const RowLimits& limits, LiteralTails& tails)
      : g_(g), r_(r), sources_(sources), bands_(cut(g, r, limits, tails)) {
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
    std::vector<std::vector<Expr>> parts(r_.results.size());
    std::vector<Expr> sums(r_.results.size());  // of the bands before
    const size_t rows = r_.axes.size() - 1;
    for (const Band& band : bands_) {
      State s{band, {}, std::vector<Expr>(r_.axes.size()), sums};
      for (size_t k = 0; k < sums.size(); ++k)
        if (sums[k].defined()) s.start[k] = widened(sums[k], r_.results[k], band.columns);
      for (size_t i = 0; i < given_.size(); ++i) {
        const Expr x = laid_out({&target, whole[i]}, given_[i]);
        const int axis = given_[i].axes[rows];
        s.given.push_back(
            axis < 0 ? x
                     : take(x, axis, band.start, band.end() - band.start, r_.axes[rows].extent));
      }
      const std::vector<Expr> made = loop(target, 0, s);
      for (size_t k = 0; k < made.size(); ++k) {
        if (r_.axes[rows].at(r_.results[k]) < 0) sums[k] = made[k];
        else parts[k].push_back(made[k]);
      }
    }
    std::vector<Expr> out;
    for (size_t k = 0; k < parts.size(); ++k) {
      const Value v = r_.results[k];
      if (sums[k].defined()) out.push_back(widened(sums[k], v, r_.columns.extent));
      else
        out.push_back(parts[k].size() == 1 ? parts[k][0] : concat(parts[k], r_.axes[rows].at(v)));
    }
    return out;
  }

 private:
  // A value of outside, and how it is cut where a node inside reads it; a product's right factor
  // that all rows share is read in panels.
  struct Given {
    Value value;
    EdgeAxes axes;
    int64_t panels_of = -1;  // that product
    friend bool operator==(const Given&, const Given&) = default;
  };
  // Where a loop stands.
  struct State {
    Band band;
    std::vector<Expr> given;
    std::vector<Expr> index;  // by axis: the iteration, where it is needed and not the only one
    std::vector<Expr> start;  // by result: what a sum begins with; undefined for zeros
  };

  bool inside(Value v) const { return std::ranges::binary_search(r_.nodes, v.node); }

  void find_given(uint32_t id, size_t operand) {
    const Value v = g_.nodes()[id].operands[operand];
    if (inside(v) && !is_product(id)) return;
    Given x = given(id, operand);
    const bool whole = std::ranges::all_of(x.axes, [](int a) { return a < 0; });
    if ((whole && sources_[v.node]) || std::ranges::find(given_, x) != given_.end()) return;
    given_.push_back(std::move(x));
  }

  Given given(uint32_t id, size_t operand) const {
    const Node& n = g_.nodes()[id];
    Given x{n.operands[operand], edge_axes(g_, r_, id, operand)};
    const bool shared = is_product(id) && operand == 1 && x.axes[r_.axes.size() - 1] < 0;
    if (!shared || x.axes.back() < 0) return x;
    const DotAttrs& a = dot(id);
    if (!fits_panels(g_.type(x.value), a)) return x;
    x.panels_of = id;
    for (int& axis : x.axes) {
      const auto batch = std::ranges::find(a.rhs_batch, axis);
      if (axis >= 0) axis = static_cast<int>(batch - a.rhs_batch.begin());
    }
    return x;
  }

  const DotAttrs& dot(int64_t id) const {
    return std::get<DotAttrs>(g_.nodes()[static_cast<size_t>(id)].attrs);
  }
  Expr laid_out(const Expr& x, const Given& as) const {
    return as.panels_of < 0 ? x : in_panels(x, dot(as.panels_of));
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

  bool is_rows(size_t l) const { return l + 1 == r_.axes.size(); }
  int64_t iterations(size_t l, const Band& b) const {
    return is_rows(l) ? b.count : r_.axes[l].extent;
  }

  // The extent of an axis of `whole` elements in `parts` of `all` equal parts.
  static Dim share(const Dim& whole, int64_t parts, int64_t all) {
    return Dim(whole.value() * parts / all);
  }

  // The shape of v in one iteration of the axes before l.
  Shape shape_at(Value v, const EdgeAxes& axes, size_t l, const Band& b) const {
    Shape shape = g_.type(v).shape;
    for (size_t k = 0; k < r_.axes.size(); ++k) {
      const int64_t done = is_rows(k) ? b.end() - b.start : r_.axes[k].extent;
      const int64_t parts = k < l ? done / iterations(k, b) : done;
      if (axes[k] >= 0) shape[axes[k]] = share(shape[axes[k]], parts, r_.axes[k].extent);
    }
    if (const int c = axes.back(); c >= 0) shape[c] = share(shape[c], b.columns, r_.columns.extent);
    return shape;
  }

  EdgeAxes axes_of(Value v) const {
    EdgeAxes out;
    for (const RegionAxis& a : r_.axes) out.push_back(a.at(v));
    out.push_back(r_.columns.at(v));
    return out;
  }

  static Expr take(const Expr& x, int axis, int64_t start, int64_t parts, int64_t all) {
    if (parts == all) return x;
    const Dim& whole = x.shape()[axis];
    return slice_axis(x, axis, share(whole, start, all), share(whole, parts, all));
  }

  // Zeros for the columns up to `columns` that earlier bands leave out.
  Expr widened(const Expr& x, Value v, int64_t columns) const {
    const int axis = r_.columns.at(v);
    if (axis < 0) return x;
    const Dim missing = share(g_.type(v).shape[axis], columns, r_.columns.extent) - x.shape()[axis];
    if (missing == Dim(0)) return x;
    std::vector<Dim> low(static_cast<size_t>(x.rank()), Dim(0)), high = low;
    high[static_cast<size_t>(axis)] = missing;
    return pad(x, 0, low, high);
  }

  std::vector<Expr> loop(Graph& g, size_t l, const State& s) {
    if (l == r_.axes.size()) return body(g, s);
    return iterations(l, s.band) == 1 ? loop(g, l + 1, s) : scanned(g, l, s);
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

  std::vector<Expr> scanned(Graph& g, size_t l, const State& s) {
    const int64_t count = iterations(l, s.band);
    auto step = std::make_shared<Graph>("rows");
    std::vector<Expr> carries, stacks, constants, sums;
    const auto row_of = [&](const Expr& stack, const std::string& name) {
      TensorType t = stack.type();
      t.shape = Shape(std::vector<Dim>(t.shape.begin() + 1, t.shape.end()));
      stacks.push_back(stack);
      return input(*step, name, t);
    };
    State inner = s;
    for (size_t k = 0; k < r_.results.size(); ++k) {
      const Value v = r_.results[k];
      if (r_.axes[l].at(v) >= 0) continue;
      const TensorType type{g_.type(v).dtype, shape_at(v, axes_of(v), l, s.band)};
      carries.push_back(s.start[k].defined() ? s.start[k] : full(g, type, 0));
      sums.push_back(input(*step, fmt::format("sum{}", sums.size()), type));
      inner.start[k] = {};
    }
    for (size_t k = 0; k < r_.results.size(); ++k)
      if (const int axis = r_.axes[l].at(r_.results[k]); axis >= 0 && inner.start[k].defined())
        inner.start[k] = row_of(stacked(s.start[k], axis, count), fmt::format("start{}", k));
    for (size_t i = 0; i < given_.size(); ++i)
      if (const int axis = given_[i].axes[l]; axis >= 0)
        inner.given[i] = row_of(stacked(s.given[i], axis, count), fmt::format("part{}", i));
    if (counted_[l]) inner.index[l] = row_of(iota(g, DType::i64, Shape{count}, 0), "index");
    const auto pass_on = [&](Expr& e, const std::string& name) {
      if (!e.defined() || e.graph == step.get()) return;
      constants.push_back(e);
      e = input(*step, name, e.type());
    };
    for (size_t i = 0; i < given_.size(); ++i) pass_on(inner.given[i], fmt::format("whole{}", i));
    for (size_t k = 0; k < l; ++k) pass_on(inner.index[k], fmt::format("index{}", k));

    const std::vector<Expr> made = loop(*step, l + 1, inner);
    size_t sum = 0;
    for (size_t k = 0; k < made.size(); ++k)
      if (r_.axes[l].at(r_.results[k]) < 0)
        step->add_output(fmt::format("sum{}", sum), (sums[sum] + made[k]).value), ++sum;
    for (size_t k = 0; k < made.size(); ++k)
      if (r_.axes[l].at(r_.results[k]) >= 0)
        step->add_output(fmt::format("part{}", k), made[k].value);
    const std::vector<Expr> results = scan(g, step, carries, stacks, constants, count);
    std::vector<Expr> out;
    size_t next_sum = 0, next_part = carries.size();
    for (const Value& v : r_.results) {
      const int axis = r_.axes[l].at(v);
      out.push_back(axis < 0 ? results[next_sum++] : joined(results[next_part++], axis));
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
      if (is_product(id) && given(id, 1).panels_of >= 0) {
        made[v] = product_of_panels({&g, operands[0]}, {&g, operands[1]}, dot(id));
        continue;
      }
      const Shape shape = shape_at(v, axes_of(v), r_.axes.size(), s.band);
      const Expr e{&g, g.add(n.op, std::move(operands), attrs_at(n, shape), n.regions, n.name)};
      made[v] = placed(e, n, s);
    }
    std::vector<Expr> out;
    for (size_t k = 0; k < r_.results.size(); ++k) {
      const Expr& e = made.at(r_.results[k]);
      out.push_back(s.start[k].defined() ? s.start[k] + e : e);
    }
    return out;
  }

  Expr operand(Graph& g, const State& s, uint32_t id, size_t i, std::map<Value, Expr>& made) {
    const Value v = g_.nodes()[id].operands[i];
    if (inside(v) && !is_product(id)) return made.at(v);
    const size_t at = place_of(given(id, i));
    if (at == given_.size()) return copy_source(g, v, made);
    const int axis = given_[at].axes.back();
    return axis < 0 ? s.given[at] : take(s.given[at], axis, 0, s.band.columns, r_.columns.extent);
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
    const Value v{static_cast<uint32_t>(&n - g_.nodes().data()), 0};
    for (size_t l = 0; l < r_.axes.size(); ++l) {
      if (r_.axes[l].at(v) != static_cast<int>(a->axis)) continue;
      const int64_t unit = g_.type(v).shape[static_cast<int>(a->axis)].value() / r_.axes[l].extent;
      if (s.index[l].defined()) {
        const Expr first = s.index[l] * static_cast<double>((is_rows(l) ? s.band.size : 1) * unit);
        e = e + broadcast_to(cast(first, a->dtype), e.shape());
      }
      if (is_rows(l) && s.band.start > 0) e = e + static_cast<double>(s.band.start * unit);
    }
    return e;
  }

  const Graph& g_;
  const RowRegion& r_;
  const std::vector<bool>& sources_;
  std::vector<Band> bands_;
  std::vector<Given> given_;
  std::vector<bool> counted_;  // by axis
};

// Copies a graph with loops in place of regions, a region where all that it reads is there.
class Rewriter {
 public:
  Rewriter(const Graph& g, const std::vector<RowRegion>& regions, const RowLimits& limits)
      : g_(g), sources_(source_only(g)), region_of_(g.nodes().size(), -1) {
    LiteralTails tails;
    for (const RowRegion& r : regions) {
      for (const Value& v : r.results) region_of_[v.node] = static_cast<int>(blocks_.size());
      results_.push_back(r.results);
      blocks_.emplace_back(g, r, sources_, limits, tails);
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
  // Reshapes of panels and blocks meet those that were there.
  return regions.empty() ? g : simplify(Rewriter(g, regions, limits).run());
}

}  // namespace

Graph block_rows(const Graph& g, const RowLimits& limits) {
  const auto here = [&](const Graph& part) { return block_here(part, limits); };
  return here(map_regions(g, here));
}

Graph block_rows(const Graph& g) { return block_rows(g, {}); }

}  // namespace lathe
