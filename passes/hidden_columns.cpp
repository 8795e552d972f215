#include "passes/hidden_columns.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

#include "ir/op.h"

namespace lathe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kExact = 1 << 24;  // integers up to here are what they are in every wide type

// What is known of all elements of a value in the hidden corner: none is NaN, and they lie between.
struct Range {
  double low = 0, high = 0;
  bool is(double v) const { return low == v && high == v; }
  bool single() const { return low == high; }
};
using Known = std::optional<Range>;

Known exactly(double v) { return Range{v, v}; }

// Functions that grow in each operand, so that the ends of the ranges give those of the result.
Known by_ends(const Known& a, const Known& b, double (*f)(double, double)) {
  if (!a || !b) return std::nullopt;
  const Range r{f(a->low, b->low), f(a->high, b->high)};
  return r.low <= r.high ? Known(r) : std::nullopt;  // not inf - inf
}

bool is(const Known& k, double v) { return k && k->is(v); }

Known negated(const Known& a) { return a ? Known(Range{-a->high, -a->low}) : std::nullopt; }

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
  Known known(uint32_t id, size_t operand) {
    const Value v = g_.nodes()[id].operands[operand];
    const auto* c = std::get_if<ConstantAttrs>(&g_.node(v).attrs);
    return c && !is_splat(c->value) ? of_literal(id, operand, v) : known(v);
  }

  Known of_literal(uint32_t id, size_t operand, Value v) {
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

  Known known(Value v) {
    const auto found = known_.find(v);
    if (found != known_.end()) return found->second;
    return known_[v] = find(v);
  }

  Known find(Value v) {
    const Node& n = g_.node(v);
    const OpClass cls = op_def(n.op).cls;
    if (const auto* a = std::get_if<IotaAttrs>(&n.attrs); a && n.op == OpId::iota)
      return of_iota(v, *a);
    if (const auto* c = std::get_if<ConstantAttrs>(&n.attrs)) {
      const bool number = is_splat(c->value) && !std::isnan(c->value.at(0));
      return number ? exactly(c->value.at(0)) : std::nullopt;
    }
    if (n.op == OpId::broadcast || n.op == OpId::reshape || n.op == OpId::transpose)
      return known(v.node, 0);
    return cls == OpClass::Elementwise ? in_type(of_elements(v.node), n.types[0].dtype)
                                       : std::nullopt;
  }

  Known of_iota(Value v, const IotaAttrs& a) const {
    const auto axis = static_cast<int>(a.axis);
    const int64_t extent = a.shape[axis].value();
    const RegionAxis& rows = r_.axes.back();
    int64_t low = 0, end = extent;
    if (r_.columns.at(v) == axis) low = first_ * (extent / r_.columns.extent);
    if (rows.at(v) == axis)
      low = begin_ * (extent / rows.extent), end = end_ * (extent / rows.extent);
    return in_type(Range{static_cast<double>(low), static_cast<double>(end - 1)}, a.dtype);
  }

  // Integers that wrap and numbers that are rounded are not known.
  static Known in_type(const Known& k, DType t) {
    if (!k || t == DType::boolean || (is_float(t) && k->single() && std::isinf(k->low))) return k;
    const bool exact = byte_size(t) >= 4 && std::max(-k->low, k->high) <= kExact &&
                       (is_float(t) || is_signed(t) || k->low >= 0);
    return exact || (is_float(t) && k->is(0)) ? k : std::nullopt;
  }

  Known of_elements(uint32_t id) {
    const Node& n = g_.nodes()[id];
    std::vector<Known> x;
    for (size_t i = 0; i < n.operands.size(); ++i) x.push_back(known(id, i));
    switch (n.operands.size()) {
      case 1: return of_one(n, x[0]);
      case 2: return of_two(n, x[0], x[1]);
      case 3: return of_select(x[0], x[1], x[2]);
    }
    return std::nullopt;
  }

  static Known of_select(const Known& condition, const Known& a, const Known& b) {
    if (condition && condition->single()) return condition->is(0) ? b : a;
    return a && b ? Known(Range{std::min(a->low, b->low), std::max(a->high, b->high)})
                  : std::nullopt;
  }

  static Known of_one(const Node& n, const Known& x) {
    if (n.op == OpId::cast) return x;
    if (n.op == OpId::neg) return negated(x);
    if (n.op == OpId::logical_not && x) return Range{1 - x->high, 1 - x->low};
    if (n.op == OpId::exp && is(x, -kInfinity)) return exactly(0);
    return std::nullopt;
  }

  Known of_two(const Node& n, const Known& a, const Known& b) {
    if (n.op == OpId::le) return less(a, b, [](double x, double y) { return x <= y; });
    if (n.op == OpId::lt) return less(a, b, [](double x, double y) { return x < y; });
    if (n.op == OpId::eq) return equal(n, a, b);
    if (n.op == OpId::bit_and || n.op == OpId::min)
      return n.types[0].dtype == DType::boolean || n.op == OpId::min
                 ? by_ends(a, b, [](double x, double y) { return std::min(x, y); })
                 : std::nullopt;
    if (n.op == OpId::bit_or || n.op == OpId::max)
      return n.types[0].dtype == DType::boolean || n.op == OpId::max
                 ? by_ends(a, b, [](double x, double y) { return std::max(x, y); })
                 : std::nullopt;
    if (n.op == OpId::add) return sum(a, b);
    if (n.op == OpId::sub) return sum(a, negated(b));
    if (n.op == OpId::mul) {
      if (is(a, 0) || is(b, 0)) return exactly(0);
      const Known out = scaled(a, b);
      return out ? out : scaled(b, a);
    }
    if (n.op == OpId::div && is_float(n.types[0].dtype)) {
      if (is(a, 0)) return exactly(0);
      return is(a, -kInfinity) ? scaled(b, a) : std::nullopt;
    }
    return std::nullopt;
  }

  template <class Compare>
  static Known less(const Known& a, const Known& b, Compare compare) {
    if (!a || !b) return std::nullopt;
    return Range{compare(a->high, b->low) ? 1.0 : 0.0, compare(a->low, b->high) ? 1.0 : 0.0};
  }

  // -inf equals the maximum of its row only where all of the row is hidden, which is NaN then.
  Known equal(const Node& n, const Known& a, const Known& b) const {
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

  static Known sum(const Known& a, const Known& b) {
    for (const double v : {-kInfinity, kInfinity})
      if (is(a, v) || is(b, v)) return is(a, -v) || is(b, -v) ? std::nullopt : exactly(v);
    return by_ends(a, b, [](double x, double y) { return x + y; });
  }

  // `x` times a number, or what is infinite by one: not negative.
  static Known scaled(const Known& number, const Known& x) {
    if (!number || !x || !number->single() || number->low <= 0 || std::isinf(number->low))
      return std::nullopt;
    return by_ends(x, number, [](double y, double f) { return y * f; });
  }

  const Graph& g_;
  const RowRegion& r_;
  int64_t begin_, end_, first_;
  LiteralTails& tails_;
  std::map<Value, Known> known_;
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
