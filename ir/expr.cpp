#include "ir/expr.h"

#include <algorithm>

#include "ir/op.h"

namespace lathe {
namespace {

Expr node(OpId op, const std::vector<Expr>& operands, Attrs attrs = NoAttrs{}) {
  if (operands.empty()) fail("{}: no operands are given", op_def(op).name);
  LATHE_ASSERT(operands[0].defined(), "{} of nothing", op_def(op).name);
  Graph& g = *operands[0].graph;
  std::vector<Value> values;
  for (const Expr& e : operands) {
    LATHE_ASSERT(e.graph == &g, "{}: operands live in different graphs", op_def(op).name);
    values.push_back(e.value);
  }
  return {&g, g.add(op, std::move(values), std::move(attrs))};
}

void check_axis(std::string_view what, const Expr& x, int64_t axis) {
  if (axis < 0 || axis >= x.rank()) fail("{}: {} has no axis {}", what, x.type().text(), axis);
}

// The shape both broadcast to: trailing axes aligned, 1 stretches.
Shape common_shape(std::string_view op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<Dim> dims;
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const Dim da = ia < 0 ? Dim(1) : a[ia], db = ib < 0 ? Dim(1) : b[ib];
    if (!(da == db) && !(da == Dim(1)) && !(db == Dim(1)))
      fail("{}: shapes [{}] and [{}] do not broadcast: {} and {} differ and neither is 1", op,
           a.text(), b.text(), da.text(), db.text());
    dims.push_back(da == Dim(1) ? db : da);
  }
  return Shape(std::move(dims));
}

Expr binary(OpId op, const Expr& a, const Expr& b) {
  if (a.shape() == b.shape()) return node(op, {a, b});
  const Shape shape = common_shape(op_def(op).name, a.shape(), b.shape());
  return node(op, {broadcast_to(a, shape), broadcast_to(b, shape)});
}

std::vector<Expr> all_results(Graph& g, Value first) {
  std::vector<Expr> out;
  for (uint32_t r = 0; r < g.node(first).types.size(); ++r) out.push_back({&g, {first.node, r}});
  return out;
}

std::vector<Value> values_of(const std::vector<Expr>& exprs) {
  std::vector<Value> out;
  for (const Expr& e : exprs) out.push_back(e.value);
  return out;
}

std::vector<Expr> joined(std::vector<Expr> a, const std::vector<Expr>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

Expr input(Graph& g, std::string name, TensorType type, InputRole role) {
  return {&g, g.add_input(std::move(name), std::move(type), role)};
}

Expr constant(Graph& g, Tensor value) {
  return {&g, g.add(OpId::constant, {}, ConstantAttrs{std::move(value)})};
}

Expr full(Graph& g, const TensorType& type, double value) {
  const Shape shape = type.shape;  // `type` may live in the graph, which is about to grow
  return broadcast_to(constant(g, Tensor::scalar_of(type.dtype, value)), shape);
}

Expr full_like(const Expr& x, double value) { return full(*x.graph, x.type(), value); }

Expr iota(Graph& g, DType dtype, Shape shape, int64_t axis) {
  return {&g, g.add(OpId::iota, {}, IotaAttrs{dtype, std::move(shape), axis})};
}

#define UNARY(id) \
  Expr id(const Expr& x) { return node(OpId::id, {x}); }
#define BINARY(id) \
  Expr id(const Expr& a, const Expr& b) { return binary(OpId::id, a, b); }
#include "ir/ops/ops.def"

Expr cast(const Expr& x, DType dtype) {
  return x.dtype() == dtype ? x : node(OpId::cast, {x}, DTypeAttrs{dtype});
}

Expr bitcast(const Expr& x, DType dtype) {
  return x.dtype() == dtype ? x : node(OpId::bitcast, {x}, DTypeAttrs{dtype});
}

Expr gt(const Expr& a, const Expr& b) { return lt(b, a); }
Expr ge(const Expr& a, const Expr& b) { return le(b, a); }

Expr select(const Expr& condition, const Expr& a, const Expr& b) {
  Shape shape = common_shape("select", a.shape(), b.shape());
  shape = common_shape("select", condition.shape(), shape);
  return node(OpId::select,
              {broadcast_to(condition, shape), broadcast_to(a, shape), broadcast_to(b, shape)});
}

Expr add(const Expr& a, double b) { return add(a, full_like(a, b)); }
Expr sub(const Expr& a, double b) { return sub(a, full_like(a, b)); }
Expr sub(double a, const Expr& b) { return sub(full_like(b, a), b); }
Expr mul(const Expr& a, double b) { return mul(a, full_like(a, b)); }
Expr div(const Expr& a, double b) { return div(a, full_like(a, b)); }
Expr div(double a, const Expr& b) { return div(full_like(b, a), b); }
Expr max(const Expr& a, double b) { return max(a, full_like(a, b)); }
Expr min(const Expr& a, double b) { return min(a, full_like(a, b)); }
Expr eq(const Expr& a, double b) { return eq(a, full_like(a, b)); }
Expr lt(const Expr& a, double b) { return lt(a, full_like(a, b)); }

Expr reshape(const Expr& x, Shape shape) {
  if (x.shape() == shape) return x;
  return node(OpId::reshape, {x}, ShapeAttrs{std::move(shape)});
}

Expr transpose(const Expr& x, Dims perm) {
  return node(OpId::transpose, {x}, PermAttrs{std::move(perm)});
}

Expr broadcast(const Expr& x, Shape shape, Dims axes) {
  return node(OpId::broadcast, {x}, BroadcastAttrs{std::move(shape), std::move(axes)});
}

Expr broadcast_to(const Expr& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  if (x.rank() > shape.rank())
    fail("broadcast: rank {} does not broadcast to shape [{}]", x.rank(), shape.text());
  Dims axes;
  for (int i = 0; i < x.rank(); ++i) axes.push_back(shape.rank() - x.rank() + i);
  return broadcast(x, shape, std::move(axes));
}

Expr slice(const Expr& x, std::vector<Dim> start, std::vector<Dim> size, Dims stride) {
  if (stride.empty()) stride.assign(start.size(), 1);
  return node(OpId::slice, {x}, SliceAttrs{std::move(start), std::move(size), std::move(stride)});
}

Expr slice_axis(const Expr& x, int64_t axis, Dim start, Dim size) {
  check_axis("slice", x, axis);
  std::vector<Dim> starts(static_cast<size_t>(x.rank()));
  std::vector<Dim> sizes = x.shape().dims();
  starts[static_cast<size_t>(axis)] = std::move(start);
  sizes[static_cast<size_t>(axis)] = std::move(size);
  return slice(x, std::move(starts), std::move(sizes));
}

Expr reverse(const Expr& x, int64_t axis) {
  check_axis("reverse", x, axis);
  std::vector<Dim> start(static_cast<size_t>(x.rank()));
  Dims stride(start.size(), 1);
  start[static_cast<size_t>(axis)] = x.shape()[static_cast<int>(axis)] - 1;
  stride[static_cast<size_t>(axis)] = -1;
  return slice(x, std::move(start), x.shape().dims(), std::move(stride));
}

Expr pad(const Expr& x, double value, std::vector<Dim> low, std::vector<Dim> high, Dims interior) {
  if (interior.empty()) interior.assign(low.size(), 0);
  const Expr fill = constant(*x.graph, Tensor::scalar_of(x.dtype(), value));
  return node(OpId::pad, {x, fill}, PadAttrs{std::move(low), std::move(high), std::move(interior)});
}

Expr concat(const std::vector<Expr>& parts, int64_t axis) {
  return parts.size() == 1 ? parts[0] : node(OpId::concat, parts, AxisAttrs{axis});
}

Expr windows(const Expr& x, WindowAttrs attrs) {
  return node(OpId::windows, {x}, std::move(attrs));
}
Expr fold(const Expr& x, WindowAttrs attrs) { return node(OpId::fold, {x}, std::move(attrs)); }

Expr expand_dims(const Expr& x, int64_t axis) {
  if (axis < 0 || axis > x.rank()) fail("expand_dims: axis {} for {}", axis, x.type().text());
  std::vector<Dim> dims = x.shape().dims();
  dims.insert(dims.begin() + axis, Dim(1));
  return reshape(x, Shape(std::move(dims)));
}

Expr squeeze(const Expr& x, int64_t axis) {
  check_axis("squeeze", x, axis);
  std::vector<Dim> dims = x.shape().dims();
  if (!(dims[static_cast<size_t>(axis)] == Dim(1)))
    fail("squeeze: axis {} of shape [{}] is not 1", axis, x.shape().text());
  dims.erase(dims.begin() + axis);
  return reshape(x, Shape(std::move(dims)));
}

Expr gather(const Expr& data, const Expr& indices, int64_t axis) {
  return node(OpId::gather, {data, indices}, AxisAttrs{axis});
}

Expr scatter_add(const Expr& data, const Expr& indices, const Expr& updates, int64_t axis) {
  return node(OpId::scatter_add, {data, indices, updates}, AxisAttrs{axis});
}
Expr scatter_mul(const Expr& data, const Expr& indices, const Expr& updates, int64_t axis) {
  return node(OpId::scatter_mul, {data, indices, updates}, AxisAttrs{axis});
}
Expr scatter_max(const Expr& data, const Expr& indices, const Expr& updates, int64_t axis) {
  return node(OpId::scatter_max, {data, indices, updates}, AxisAttrs{axis});
}
Expr scatter_min(const Expr& data, const Expr& indices, const Expr& updates, int64_t axis) {
  return node(OpId::scatter_min, {data, indices, updates}, AxisAttrs{axis});
}

Expr reduce_sum(const Expr& x, Dims axes) {
  return node(OpId::reduce_sum, {x}, AxesAttrs{std::move(axes)});
}
Expr reduce_max(const Expr& x, Dims axes) {
  return node(OpId::reduce_max, {x}, AxesAttrs{std::move(axes)});
}
Expr reduce_min(const Expr& x, Dims axes) {
  return node(OpId::reduce_min, {x}, AxesAttrs{std::move(axes)});
}
Expr reduce_prod(const Expr& x, Dims axes) {
  return node(OpId::reduce_prod, {x}, AxesAttrs{std::move(axes)});
}

Expr reduce_mean(const Expr& x, Dims axes) {
  std::vector<Dim> reduced;
  for (int64_t axis : axes) {
    check_axis("reduce_mean", x, axis);
    reduced.push_back(x.shape()[static_cast<int>(axis)]);
  }
  const Shape counted(std::move(reduced));
  const Expr sum = reduce_sum(x, std::move(axes));
  if (counted.is_static()) return div(sum, static_cast<double>(counted.element_count()));
  Dims all;
  for (int i = 0; i < counted.rank(); ++i) all.push_back(i);
  return div(sum, reduce_sum(full(*x.graph, {x.dtype(), counted}, 1), std::move(all)));
}

Expr cumsum(const Expr& x, int64_t axis, bool reverse, bool exclusive) {
  return node(OpId::cumsum, {x}, CumulativeAttrs{axis, reverse, exclusive});
}

Expr argsort(const Expr& x, Dim count, bool descending) {
  return node(OpId::argsort, {x}, SortAttrs{std::move(count), descending});
}

Expr keep_axes(const Expr& reduced, const Dims& axes) {
  std::vector<Dim> dims = reduced.shape().dims();
  for (int64_t axis : axes) {
    if (axis < 0 || axis > std::ssize(dims))
      fail("keep_axes: axis {} for {}", axis, reduced.type().text());
    dims.insert(dims.begin() + axis, Dim(1));
  }
  return reshape(reduced, Shape(std::move(dims)));
}

Expr dot_general(const Expr& a, const Expr& b, DotAttrs attrs) {
  return node(OpId::dot_general, {a, b}, std::move(attrs));
}

Expr matmul(const Expr& a, const Expr& b) {
  DotAttrs attrs;
  attrs.lhs_contract = {a.rank() - 1};
  attrs.rhs_contract = {0};
  attrs.dtype = a.dtype();
  return dot_general(a, b, std::move(attrs));
}

std::vector<Expr> scan(Graph& g, Region body, const std::vector<Expr>& carries,
                       const std::vector<Expr>& scanned, const std::vector<Expr>& constants,
                       Dim length, bool reverse) {
  ScanAttrs attrs{std::ssize(carries), std::ssize(scanned), std::move(length), reverse};
  const auto operands = joined(joined(carries, scanned), constants);
  return all_results(g,
                     g.add(OpId::scan, values_of(operands), std::move(attrs), {std::move(body)}));
}

std::vector<Expr> while_loop(Graph& g, Region condition, Region body,
                             const std::vector<Expr>& carries, const std::vector<Expr>& constants) {
  return all_results(
      g, g.add(OpId::while_loop, values_of(joined(carries, constants)),
               WhileAttrs{std::ssize(carries)}, {std::move(condition), std::move(body)}));
}

std::vector<Expr> if_else(const Expr& condition, Region then_region, Region else_region,
                          const std::vector<Expr>& operands) {
  Graph& g = *condition.graph;
  return all_results(g, g.add(OpId::if_else, values_of(joined({condition}, operands)), NoAttrs{},
                              {std::move(then_region), std::move(else_region)}));
}

std::vector<Expr> composite(Graph& g, std::string name, Region body,
                            const std::vector<Expr>& operands) {
  return all_results(g, g.add(OpId::composite, values_of(operands), CompositeAttrs{std::move(name)},
                              {std::move(body)}));
}

std::vector<Expr> inline_graph(Graph& g, const Graph& body, const std::vector<Expr>& operands) {
  LATHE_ASSERT(operands.size() == body.inputs().size(), "{} operands for {} inputs",
               operands.size(), body.inputs().size());
  // New node id of each node of `body`; an input's is its operand, whichever result that is.
  std::vector<Value> moved(body.nodes().size());
  std::vector<bool> live(body.nodes().size(), false);
  for (const GraphOutput& out : body.outputs()) live[out.value.node] = true;
  for (size_t id = live.size(); id-- > 0;)
    if (live[id])
      for (const Value& v : body.nodes()[id].operands) live[v.node] = true;
  for (size_t k = 0; k < operands.size(); ++k) {
    const GraphInput& in = body.inputs()[k];
    LATHE_ASSERT(operands[k].type() == in.type, "'{}' is {}, the operand {}", in.name,
                 in.type.text(), operands[k].type().text());
    moved[in.value.node] = operands[k].value;
  }
  const auto map = [&](const Value& v) {
    return Value{moved[v.node].node, moved[v.node].result + v.result};
  };
  for (size_t id = 0; id < live.size(); ++id) {
    if (!live[id] || moved[id].defined()) continue;
    const Node& n = body.nodes()[id];
    std::vector<Value> mapped;
    for (const Value& v : n.operands) mapped.push_back(map(v));
    moved[id] = g.add(n.op, std::move(mapped), n.attrs, n.regions, n.name);
  }
  std::vector<Expr> out;
  for (const GraphOutput& o : body.outputs()) out.push_back({&g, map(o.value)});
  return out;
}

}  // namespace lathe
