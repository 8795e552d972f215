#include "passes/sink_transposes.h"

#include <algorithm>
#include <map>

#include "ir/axes.h"
#include "passes/match.h"
#include "passes/rebuild.h"

namespace lathe {
namespace {

using match::is, match::node, match::operand;

Dims perm_of(const Expr& transposed) { return match::attrs<PermAttrs>(transposed).perm; }

// Axis i of the transposed value is axis perm[i] of the value: `v` in the value's order.
template <class T>
std::vector<T> undone(const std::vector<T>& v, const Dims& perm) {
  std::vector<T> out(v.size());
  for (size_t i = 0; i < v.size(); ++i) out[static_cast<size_t>(perm[i])] = v[i];
  return out;
}

// Where only axes of one element move, a transpose is a reshape.
bool keeps_order(const Expr& x, const Dims& perm) {
  int64_t last = -1;
  for (const int64_t axis : perm) {
    if (x.shape()[static_cast<int>(axis)] == Dim(1)) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

// Where a reshape makes several axes of single ones: the first of the new axes that each old axis
// becomes, and the end. Nothing where it does anything else.
std::optional<std::vector<size_t>> split_axes(const Shape& from, const Shape& to) {
  if (!from.is_static() || !to.is_static()) return std::nullopt;
  std::vector<size_t> first = {0};
  const Dims extents = to.static_dims();
  size_t next = 0;
  for (const int64_t extent : from.static_dims()) {
    int64_t product = 1;
    for (const size_t begin = next; next < extents.size() && (next == begin || product < extent);)
      product *= extents[next++];
    if (product != extent || next == first.back()) return std::nullopt;
    first.push_back(next);
  }
  if (next != extents.size()) return std::nullopt;
  return first;
}

bool splits(const Graph& g, const Node& n) {
  return n.op == OpId::reshape && split_axes(g.type(n.operands[0]).shape, n.types[0].shape);
}

bool merges(const Graph& g, const Node& n) {
  return n.op == OpId::reshape && split_axes(n.types[0].shape, g.type(n.operands[0]).shape);
}

bool passes_on(const Graph& g, const Node& n) {
  return op_def(n.op).cls == OpClass::Elementwise || n.op == OpId::concat || n.op == OpId::pad ||
         n.op == OpId::slice || splits(g, n) || merges(g, n);
}

// Nodes whose result, after what a transpose sinks past, is read by kernels that read through
// views, and meets no input of the graph on the way, which would have to be transposed instead.
std::vector<bool> worth_sinking(const Graph& g) {
  const size_t count = g.nodes().size();
  std::vector<bool> given(count, false), read(count, false), met(count, false);
  for (size_t id = 0; id < count; ++id) {
    const Node& n = g.nodes()[id];
    given[id] = n.op == OpId::parameter;
    if (op_def(n.op).cls == OpClass::Elementwise)
      for (const Value& v : n.operands) given[id] = given[id] || given[v.node];
  }
  for (size_t id = count; id-- > 0;) {
    const Node& n = g.nodes()[id];
    const OpDef& def = op_def(n.op);
    const bool reads = def.cls == OpClass::Contract || def.cls == OpClass::Reduce ||
                       (def.cls == OpClass::View && !def.same_bytes);
    const bool meets = passes_on(g, n) && std::ranges::any_of(n.operands, [&](const Value& v) {
                         return given[v.node];
                       });
    for (const Value& v : n.operands) {
      read[v.node] = read[v.node] || (passes_on(g, n) ? read[id] : reads);
      met[v.node] = met[v.node] || meets || (passes_on(g, n) && met[id]);
    }
  }
  for (size_t id = 0; id < count; ++id) read[id] = read[id] && !met[id];
  return read;
}

class Sinker {
 public:
  using Results = std::optional<std::vector<Expr>>;

  explicit Sinker(const Graph& g) : worth_(worth_sinking(g)) {}

  Results visit(uint32_t id, const Node& n, const std::vector<Expr>& in, Graph& g) {
    if (n.types.size() != 1 || in.empty()) return std::nullopt;
    if (n.op != OpId::transpose && !worth_[id]) return std::nullopt;
    const std::optional<Expr> e = rewrite(n, in, g);
    if (!e) return std::nullopt;
    LATHE_ASSERT(e->type() == n.types[0], "{} makes {} of {}", op_def(n.op).name, e->type().text(),
                 n.types[0].text());
    return Results({*e});
  }

 private:
  std::optional<Expr> rewrite(const Node& n, const std::vector<Expr>& in, Graph& g) {
    const OpDef& def = op_def(n.op);
    if (n.op == OpId::transpose) return join(n, in[0]);
    if (def.cls == OpClass::Elementwise) return past_elementwise(n, in, g);
    if (def.cls == OpClass::Reduce && !is(in[0], OpId::transpose)) return past_pooling(n, in[0], g);
    if (!sinks(in[0])) return std::nullopt;
    if (def.cls == OpClass::Reduce) return past_reduction(n, in[0], g);
    if (n.op == OpId::windows) return past_disjoint_windows(n, in[0]);
    if (n.op == OpId::concat) return past_concat(n, in, g);
    if (n.op == OpId::pad) return past_pad(n, in, g);
    if (n.op == OpId::slice) return past_slice(n, in[0], g);
    if (n.op == OpId::reshape && split_axes(in[0].shape(), n.types[0].shape))
      return past_split(n, in[0]);
    if (n.op == OpId::reshape) return past_merge(n, in[0]);
    return std::nullopt;
  }

  // A transpose that is worth moving: what a core computes would be stored with its last axis, the
  // one along the vectors, scattered. Other transposes cost a core nothing.
  bool sinks(const Expr& e) {
    return is(e, OpId::transpose) && perm_of(e).back() + 1 != e.rank() && of_core(operand(e));
  }

  // Whether a core's kernel computes `e`, perhaps with what is elementwise after it.
  bool of_core(const Expr& e) {
    const auto [known, fresh] = of_core_.emplace(e.value, false);
    if (!fresh) return known->second;
    const OpClass cls = op_def(node(e).op).cls;
    bool found = cls == OpClass::Contract || cls == OpClass::Reduce;
    if (cls == OpClass::Elementwise || is(e, OpId::reshape) || is(e, OpId::transpose))
      for (size_t i = 0; i < node(e).operands.size() && !found; ++i) found = of_core(operand(e, i));
    return of_core_[e.value] = found;
  }

  Expr sunk(Graph& g, const Node& n, std::vector<Value> operands, Attrs attrs, const Dims& perm) {
    const Expr e{&g, g.add(n.op, std::move(operands), std::move(attrs), {}, n.name)};
    of_core_[e.value] = true;
    return transpose(e, perm);
  }

  std::optional<Expr> join(const Node& n, const Expr& x) {
    const Dims& perm = std::get<PermAttrs>(n.attrs).perm;
    if (!sinks(x)) return std::nullopt;
    return joined(x, perm);
  }

  // transpose(x, perm) of a transpose x.
  static Expr joined(const Expr& x, const Dims& perm) {
    const Dims inner = perm_of(x);
    Dims both;
    std::vector<Dim> dims;
    for (const int64_t axis : perm) {
      both.push_back(inner[static_cast<size_t>(axis)]);
      dims.push_back(x.shape()[static_cast<int>(axis)]);
    }
    const Expr from = operand(x);
    if (match::is_iota(both)) return from;
    if (keeps_order(from, both)) return reshape(from, Shape(std::move(dims)));
    return transpose(from, std::move(both));
  }

  // `e` in the order that a transpose by `perm` started from, where that costs nothing.
  std::optional<Expr> free_in_order(const Expr& e, const Dims& perm) const {
    if (is(e, OpId::transpose) && perm_of(e) == perm) return operand(e);
    if (is(e, OpId::constant)) return transpose(e, inverse_perm(perm));
    if (!is(e, OpId::broadcast)) return std::nullopt;
    const Expr from = operand(e);
    const Shape shape(undone(e.shape().dims(), perm));
    const Dims given = match::attrs<BroadcastAttrs>(e).axes;
    if (is(from, OpId::transpose)) {  // so that one transpose more costs nothing
      Dims order(given.size()), axes;
      for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
      const auto place = [&](int64_t i) {
        return perm[static_cast<size_t>(given[static_cast<size_t>(i)])];
      };
      std::ranges::sort(order, {}, place);
      for (const int64_t i : order) axes.push_back(place(i));
      return broadcast(joined(from, order), shape, std::move(axes));
    }
    // Axes of one element need no place among the others.
    Dims axes;
    std::vector<Dim> longer;
    for (int i = 0; i < from.rank(); ++i) {
      if (from.shape()[i] == Dim(1)) continue;
      axes.push_back(perm[static_cast<size_t>(given[static_cast<size_t>(i)])]);
      longer.push_back(from.shape()[i]);
    }
    if (!std::is_sorted(axes.begin(), axes.end())) return std::nullopt;
    return broadcast(reshape(from, Shape(std::move(longer))), shape, std::move(axes));
  }

  std::optional<Expr> past_elementwise(const Node& n, const std::vector<Expr>& in, Graph& g) {
    const auto first = std::ranges::find_if(in, [&](const Expr& e) { return sinks(e); });
    if (first == in.end()) return std::nullopt;
    const Dims perm = perm_of(*first);
    std::vector<Value> operands;
    for (const Expr& e : in) {
      const std::optional<Expr> moved = free_in_order(e, perm);
      if (!moved) return std::nullopt;
      operands.push_back(moved->value);
    }
    return sunk(g, n, std::move(operands), n.attrs, perm);
  }

  std::optional<Expr> past_concat(const Node& n, const std::vector<Expr>& in, Graph& g) {
    const Dims perm = perm_of(in[0]);
    std::vector<Value> operands;
    for (const Expr& e : in) {
      if (!sinks(e) || perm_of(e) != perm) return std::nullopt;
      operands.push_back(operand(e).value);
    }
    const int64_t axis = std::get<AxisAttrs>(n.attrs).axis;
    return sunk(g, n, std::move(operands), AxisAttrs{perm[static_cast<size_t>(axis)]}, perm);
  }

  std::optional<Expr> past_pad(const Node& n, const std::vector<Expr>& in, Graph& g) {
    const Dims perm = perm_of(in[0]);
    const auto& a = std::get<PadAttrs>(n.attrs);
    return sunk(g, n, {operand(in[0]).value, in[1].value},
                PadAttrs{undone(a.low, perm), undone(a.high, perm), undone(a.interior, perm)},
                perm);
  }

  std::optional<Expr> past_slice(const Node& n, const Expr& x, Graph& g) {
    const Dims perm = perm_of(x);
    const auto& a = std::get<SliceAttrs>(n.attrs);
    return sunk(g, n, {operand(x).value},
                SliceAttrs{undone(a.start, perm), undone(a.size, perm), undone(a.stride, perm)},
                perm);
  }

  // The axes of the value are split where they are, and all that one became move together.
  static std::optional<Expr> past_split(const Node& n, const Expr& x) {
    const Dims perm = perm_of(x), to = n.types[0].shape.static_dims();
    const auto first = split_axes(x.shape(), n.types[0].shape);
    if (!first) return std::nullopt;
    Dims split, moved(to.size());
    for (const int64_t axis : inverse_perm(perm)) {
      const size_t begin = (*first)[static_cast<size_t>(axis)];
      const size_t end = (*first)[static_cast<size_t>(axis) + 1];
      for (size_t i = begin; i < end; ++i) {
        moved[i] = std::ssize(split);
        split.push_back(to[i]);
      }
    }
    return transpose(reshape(operand(x), Shape(split)), moved);
  }

  // Axes that are merged lie side by side in the value too.
  static std::optional<Expr> past_merge(const Node& n, const Expr& x) {
    const Dims perm = perm_of(x), to = n.types[0].shape.static_dims();
    const auto first = split_axes(n.types[0].shape, x.shape());
    if (!first) return std::nullopt;
    for (size_t axis = 0; axis < to.size(); ++axis)
      for (size_t i = (*first)[axis] + 1; i < (*first)[axis + 1]; ++i)
        if (perm[i] != perm[i - 1] + 1) return std::nullopt;
    Dims order(to.size()), merged;  // of the new axes, as they lie in the value
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
    std::ranges::sort(order, {},
                      [&](int64_t axis) { return perm[(*first)[static_cast<size_t>(axis)]]; });
    for (const int64_t axis : order) merged.push_back(to[static_cast<size_t>(axis)]);
    return transpose(reshape(operand(x), Shape(merged)), inverse_perm(order));
  }

  // Windows that neither overlap nor leave gaps are a reshape that splits axes: with the taps of an
  // axis beside it, in the value's order. Windows of one tap are read through as they are.
  static std::optional<Expr> past_disjoint_windows(const Node& n, const Expr& x) {
    const auto& a = std::get<WindowAttrs>(n.attrs);
    const auto taps = std::ssize(a.kernel), lead = x.rank() - taps;
    const bool split_any = std::ranges::any_of(a.kernel, [](int64_t k) { return k > 1; });
    if (!split_any || !x.shape().is_static() || !match::is_zero(a.low) || !match::is_zero(a.high))
      return std::nullopt;
    const Dims perm = perm_of(x), windows = n.types[0].shape.static_dims();
    Dims split, moved(windows.size());
    for (const int64_t axis : inverse_perm(perm)) {
      const auto i = static_cast<size_t>(axis), w = static_cast<size_t>(axis - lead);
      moved[i] = std::ssize(split);
      split.push_back(windows[i]);
      if (axis < lead) continue;
      const bool disjoint = a.stride[w] == a.kernel[w] && (a.dilation[w] == 1 || a.kernel[w] == 1);
      if (!disjoint || !(x.shape()[static_cast<int>(axis)] == Dim(windows[i] * a.kernel[w])))
        return std::nullopt;
      moved[i + static_cast<size_t>(taps)] = std::ssize(split);
      split.push_back(a.kernel[w]);
    }
    return transpose(reshape(operand(x), Shape(split)), moved);
  }

  // reduce(transpose(x, p), axes) = transpose(reduce(x, p[axes]), the order of what is left).
  std::optional<Expr> past_reduction(const Node& n, const Expr& x, Graph& g) {
    const auto* a = std::get_if<AxesAttrs>(&n.attrs);
    if (!a) return std::nullopt;
    const Dims perm = perm_of(x);
    Dims reduced, kept, order;
    for (const int64_t axis : a->axes) reduced.push_back(perm[static_cast<size_t>(axis)]);
    std::ranges::sort(reduced);
    for (int64_t axis = 0; axis < x.rank(); ++axis)
      if (std::ranges::find(reduced, axis) == reduced.end()) kept.push_back(axis);
    for (int64_t axis = 0; axis < x.rank(); ++axis) {
      const auto at = std::ranges::find(kept, perm[static_cast<size_t>(axis)]);
      if (at != kept.end()) order.push_back(at - kept.begin());
    }
    return sunk(g, n, {operand(x).value}, AxesAttrs{reduced}, order);
  }

  // reduce(windows(transpose(x, p)), taps) = transpose(reduce(windows in x's order, taps), p).
  std::optional<Expr> past_pooling(const Node& n, const Expr& patches, Graph& g) {
    if (!is(patches, OpId::windows) || !sinks(operand(patches))) return std::nullopt;
    const Dims perm = perm_of(operand(patches));
    const int64_t rank = std::ssize(perm);
    const auto* a = std::get_if<AxesAttrs>(&n.attrs);
    if (!a || std::ssize(a->axes) != patches.rank() - rank) return std::nullopt;
    for (const int64_t axis : a->axes)
      if (axis < rank) return std::nullopt;
    Dims in_order = inverse_perm(perm);
    for (int64_t axis = rank; axis < patches.rank(); ++axis) in_order.push_back(axis);
    return sunk(g, n, {transpose(patches, in_order).value}, n.attrs, perm);
  }

  std::vector<bool> worth_;        // by node of the old graph
  std::map<Value, bool> of_core_;  // by value of the new graph
};

Graph sink_here(const Graph& g) {
  Sinker sinker(g);
  return Rebuilder::run(
      g, [&](const Graph& source, uint32_t id, const std::vector<Expr>& in, Graph& target) {
        return sinker.visit(id, source.nodes()[id], in, target);
      });
}

}  // namespace

Graph sink_transposes(const Graph& g) { return map_regions(sink_here(g), sink_here); }

}  // namespace lathe
