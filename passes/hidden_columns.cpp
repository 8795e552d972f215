#include "passes/hidden_columns.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/value_range.h"

namespace lathe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Rows [begin, end) and the columns from `first` on.
class Corner {
 public:
  Corner(const Graph& g, const RowRegion& r, int64_t begin, int64_t end, int64_t first,
         LiteralTails& tails)
      : g_(g), r_(r), begin_(begin), end_(end), first_(first), tails_(tails) {}

  bool contributes_nothing() {
    return std::ranges::all_of(r_.nodes, [&](uint32_t id) { return neutral(id); }) &&
           std::ranges::all_of(r_.results,
                               [&](Value v) { return !runs_along(v) || sums_zeros(v.node); });
  }

 private:
  bool runs_along(Value v) const { return r_.columns.at(v) >= 0; }

  // What reduces the columns takes no notice of the hidden ones.
  bool neutral(uint32_t id) {
    const Node& n = g_.nodes()[id];
    if (runs_along({id, 0}) || std::ranges::none_of(n.operands, [&](Value v) {
          return runs_along(v) && !r_.products.contains(id);
        }))
      return true;
    return n.op == OpId::reduce_max ? is(known(id, 0), -kInfinity) : sums_zeros(id);
  }

  bool sums_zeros(uint32_t id) {
    const Node& n = g_.nodes()[id];
    if (n.op != OpId::dot_general && n.op != OpId::reduce_sum) return false;
    for (size_t i = 0; i < n.operands.size(); ++i)
      if (is(known(id, i), 0)) return true;
    return false;
  }

  // An operand as node `id` reads it.
  MaybeRange known(uint32_t id, size_t operand) {
    const Value v = g_.nodes()[id].operands[operand];
    const auto* c = std::get_if<ConstantAttrs>(&g_.node(v).attrs);
    return c && !is_splat(c->value) ? of_literal(id, operand, v) : known(v);
  }

  MaybeRange of_literal(uint32_t id, size_t operand, Value v) {
    const EdgeAxes axes = edge_axes(g_, r_, id, operand);
    const int rows = axes[r_.axes.size() - 1], columns = axes.back();
    if (columns < 0) return std::nullopt;
    const std::vector<LiteralTails::Tail>& tails = tails_.of(g_, v, rows, columns);
    const auto scaled = [&](int64_t at, int axis, int64_t extent) {
      return at * (g_.type(v).shape[axis].value() / extent);
    };
    const int64_t first = scaled(first_, columns, r_.columns.extent);
    const int64_t begin = rows < 0 ? 0 : scaled(begin_, rows, r_.axes.back().extent);
    const int64_t end = rows < 0 ? 1 : scaled(end_, rows, r_.axes.back().extent);
    const double value = tails[static_cast<size_t>(begin)].value;
    for (int64_t i = begin; i < end; ++i) {
      const LiteralTails::Tail& t = tails[static_cast<size_t>(i)];
      if (t.first > first || !(t.value == value)) return std::nullopt;
    }
    return exactly(value);
  }

  MaybeRange known(Value v) {
    const auto found = known_.find(v);
    if (found != known_.end()) return found->second;
    return known_[v] = find(v);
  }

  MaybeRange find(Value v) {
    const Node& n = g_.node(v);
    if (n.op == OpId::iota) return of_iota(v, std::get<IotaAttrs>(n.attrs));
    if (const auto* c = std::get_if<ConstantAttrs>(&n.attrs)) {
      const bool number = is_splat(c->value) && !std::isnan(c->value.at(0));
      return number ? exactly(c->value.at(0)) : std::nullopt;
    }
    std::vector<MaybeRange> x;
    for (size_t i = 0; i < n.operands.size(); ++i) x.push_back(known(v.node, i));
    return n.op == OpId::eq ? of_equal(n, x[0], x[1]) : range_of(n, x);
  }

  MaybeRange of_iota(Value v, const IotaAttrs& a) const {
    const auto axis = static_cast<int>(a.axis);
    const int64_t extent = a.shape[axis].value();
    const RegionAxis& rows = r_.axes.back();
    int64_t low = 0, end = extent;
    if (r_.columns.at(v) == axis) low = first_ * (extent / r_.columns.extent);
    if (rows.at(v) == axis)
      low = begin_ * (extent / rows.extent), end = end_ * (extent / rows.extent);
    return in_type(ValueRange{static_cast<double>(low), static_cast<double>(end - 1)}, a.dtype);
  }

  // -inf equals the maximum of its row only where all of the row is hidden, which is NaN then.
  MaybeRange of_equal(const Node& n, const MaybeRange& a, const MaybeRange& b) const {
    const auto tops = [&](Value top, Value x) {
      while (g_.node(top).op == OpId::broadcast || g_.node(top).op == OpId::reshape)
        top = g_.node(top).operands[0];
      return g_.node(top).op == OpId::reduce_max && g_.node(top).operands[0] == x;
    };
    return (is(a, -kInfinity) && tops(n.operands[1], n.operands[0])) ||
                   (is(b, -kInfinity) && tops(n.operands[0], n.operands[1]))
               ? exactly(0)
               : std::nullopt;
  }

  const Graph& g_;
  const RowRegion& r_;
  int64_t begin_, end_, first_;
  LiteralTails& tails_;
  std::map<Value, MaybeRange> known_;
};

}  // namespace

const std::vector<LiteralTails::Tail>& LiteralTails::of(const Graph& g, Value literal, int rows,
                                                        int columns) {
  const auto [found, fresh] =
      known_.emplace(std::tuple(literal, rows, columns), std::vector<Tail>());
  std::vector<Tail>& tails = found->second;
  if (!fresh) return tails;
  const Tensor& t = std::get<ConstantAttrs>(g.node(literal).attrs).value;
  const Dims dims = t.dims(), strides = row_major_strides(dims);
  const int64_t length = dims[static_cast<size_t>(columns)];
  const int64_t step = strides[static_cast<size_t>(columns)];
  tails.resize(rows < 0 ? 1 : static_cast<size_t>(dims[static_cast<size_t>(rows)]));
  std::vector<bool> begun(tails.size(), false);
  // Every lane along the columns, at the place of its first element.
  for (int64_t at = 0; at < t.size(); ++at) {
    if (at / step % length != 0) continue;
    const double last = t.at(at + (length - 1) * step);
    int64_t first = length - 1;
    while (first > 0 && t.at(at + (first - 1) * step) == last) --first;
    const auto axis = static_cast<size_t>(rows < 0 ? 0 : rows);
    const auto row = static_cast<size_t>(rows < 0 ? 0 : at / strides[axis] % dims[axis]);
    Tail& tail = tails[row];
    const bool other = begun[row] && !(tail.value == last);
    tail = {other ? length : std::max(tail.first, first), last};
    begun[row] = true;
  }
  return tails;
}

int64_t visible_columns(const Graph& g, const RowRegion& r, int64_t begin, int64_t end,
                        LiteralTails& tails) {
  // The more columns are left, the less is hidden: the least number is found by bisection.
  int64_t hidden_from = r.columns.extent, visible = 0;
  const auto hides = [&](int64_t c) {
    return Corner(g, r, begin, end, c, tails).contributes_nothing();
  };
  if (r.columns.extent < 2 || !hides(r.columns.extent - 1)) return r.columns.extent;
  while (hidden_from - visible > 1) {
    const int64_t c = visible + (hidden_from - visible) / 2;
    (hides(c) ? hidden_from : visible) = c;
  }
  return hidden_from;
}

}  // namespace lathe
