// gather and the scatters: reading and combining at places that data names. Indices are clamped.
#include <cmath>
#include <limits>

#include "ir/eval.h"
#include "ir/lowering.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace lathe {
namespace {

// data[:axis] + indices + data[axis+1:]
std::vector<Dim> gathered_dims(const TensorType& data, const TensorType& indices, int64_t axis) {
  std::vector<Dim> dims(data.shape.begin(), data.shape.begin() + axis);
  dims.insert(dims.end(), indices.shape.begin(), indices.shape.end());
  dims.insert(dims.end(), data.shape.begin() + axis + 1, data.shape.end());
  return dims;
}

std::optional<Failure> check_indexing(const InferArgs& a) {
  const TensorType &data = a.operand(0), &indices = a.operand(1);
  const int64_t axis = a.get<AxisAttrs>().axis;
  if (axis < 0 || axis >= data.rank())  // [index-1]
    return failure("axis {} is outside an operand of rank {}", axis, data.rank());
  if (!is_integer(indices.dtype))  // [index-2]
    return failure("indices are {}, integers were expected", name(indices.dtype));
  if (data.shape[static_cast<int>(axis)] == Dim(0) && !(indices.shape.volume() == Dim(0)))
    return failure("axis {} is empty, there is nothing to index", axis);  // [index-3]
  return std::nullopt;
}

Result<Types> infer_gather(const InferArgs& a) {
  if (auto bad = check_indexing(a)) return *bad;
  const TensorType& data = a.operand(0);
  return Types{{data.dtype, Shape(gathered_dims(data, a.operand(1), a.get<AxisAttrs>().axis))}};
}

int64_t clamped(const EvalTensor& indices, int64_t k, int64_t extent) {
  const int64_t v = indices.i[static_cast<size_t>(k)];
  if (v < 0) return indices.dtype == DType::u64 ? extent - 1 : 0;  // u64: beyond 2^63
  return v < extent ? v : extent - 1;
}

// Calls fn(data element, update element) for every element of the gathered shape.
template <class F>
void for_each_indexed(const EvalTensor& data, const EvalTensor& indices, int64_t axis, F&& fn) {
  const auto split = data.dims.begin() + axis;
  const int64_t outer = element_count(Dims(data.dims.begin(), split));
  const int64_t inner = element_count(Dims(split + 1, data.dims.end()));
  const int64_t extent = *split, count = indices.size();
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t k = 0; k < count; ++k) {
      const int64_t row = o * extent + clamped(indices, k, extent);
      for (int64_t i = 0; i < inner; ++i) fn(row * inner + i, (o * count + k) * inner + i);
    }
}

void eval_gather(Evaluation& e) {
  EvalTensor& out = e.out();
  for_each_indexed(e.in(0), e.in(1), e.attrs<AxisAttrs>().axis,
                   [&](int64_t from, int64_t to) { out.copy_element(to, e.in(0), from); });
}

// An index value limited to [0, extent-1]; a bound that its type cannot exceed needs no test.
AxisIndex limited(Lowering& l, Value indices, const Index& at, int64_t extent) {
  const DType type = l.type(indices).dtype;
  ScalarId v = l.pull(indices, at);
  const int value_bits = static_cast<int>(8 * byte_size(type)) - (is_signed(type) ? 1 : 0);
  const bool can_exceed = value_bits >= 63 || extent - 1 < (int64_t{1} << value_bits) - 1;
  if (can_exceed) v = l.emit(Scalar::Min, type, {v, l.constant_int(type, extent - 1)});
  if (is_signed(type)) v = l.emit(Scalar::Max, type, {v, l.constant_int(type, 0)});
  AxisIndex index;
  index.indirect.push_back({v, 1});
  return index;
}

Index with_axis(const Index& window, int64_t axis, const std::vector<AxisIndex>& inserted) {
  Index out = window;
  out.axes.insert(out.axes.begin() + axis, inserted.begin(), inserted.end());
  return out;
}

ScalarId lower_gather(Lowering& l, const Node& n, int, const Index& at) {
  const int64_t axis = std::get<AxisAttrs>(n.attrs).axis;
  const Value data = n.operands[0], indices = n.operands[1];
  const auto first = at.axes.begin() + axis, last = first + l.type(indices).rank();
  const Index place(std::vector<AxisIndex>(first, last));
  Index window = at;
  window.axes.erase(window.axes.begin() + axis,
                    window.axes.begin() + axis + l.type(indices).rank());
  const int64_t extent = l.dims(data)[static_cast<size_t>(axis)];
  return l.pull(data, with_axis(window, axis, {limited(l, indices, place, extent)}));
}

void vjp_gather(Vjp& v) {
  const int64_t axis = v.attrs<AxisAttrs>().axis;
  if (v.wants(0)) v.give(0, scatter_add(full_like(v.in(0), 0), v.in(1), v.g(), axis));
}

Result<Types> infer_scatter(const InferArgs& a) {
  if (auto bad = check_indexing(a)) return *bad;
  const TensorType &data = a.operand(0), &updates = a.operand(2);
  if (data.dtype == DType::boolean) return failure("bool is not combined");  // [scatter-1]
  const TensorType expected{data.dtype,
                            Shape(gathered_dims(data, a.operand(1), a.get<AxisAttrs>().axis))};
  if (!(updates == expected))  // [scatter-2]
    return failure("updates are {}, {} was expected", updates.text(), expected.text());
  return Types{data};
}

// out: data, with every update combined into it in order. `integers` is given the element type.
template <class OnFloat, class OnInt>
void eval_scatter(Evaluation& e, OnFloat&& floats, OnInt&& integers) {
  EvalTensor& out = e.out();
  const EvalTensor& updates = e.in(2);
  out.f = e.in(0).f;
  out.i = e.in(0).i;
  for_each_indexed(e.in(0), e.in(1), e.attrs<AxisAttrs>().axis, [&](int64_t to, int64_t from) {
    const auto t = static_cast<size_t>(to), f = static_cast<size_t>(from);
    if (out.floating()) out.f[t] = floats(out.f[t], updates.f[f]);
    else out.i[t] = wrap_integer(out.dtype, integers(out.dtype, out.i[t], updates.i[f]));
  });
}

bool less(DType t, int64_t a, int64_t b) {
  return is_signed(t) ? a < b : static_cast<uint64_t>(a) < static_cast<uint64_t>(b);
}

void eval_scatter_add(Evaluation& e) {
  eval_scatter(
      e, [](double a, double b) { return a + b; },
      [](DType, int64_t a, int64_t b) {
        return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
      });
}

void eval_scatter_mul(Evaluation& e) {
  eval_scatter(
      e, [](double a, double b) { return a * b; },
      [](DType, int64_t a, int64_t b) {
        return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
      });
}

void eval_scatter_max(Evaluation& e) {
  eval_scatter(
      e, [](double a, double b) { return std::isnan(a) || a > b ? a : b; },
      [](DType t, int64_t a, int64_t b) { return less(t, a, b) ? b : a; });
}

void eval_scatter_min(Evaluation& e) {
  eval_scatter(
      e, [](double a, double b) { return std::isnan(a) || a < b ? a : b; },
      [](DType t, int64_t a, int64_t b) { return less(t, b, a) ? b : a; });
}

template <Combine combine>
ScalarId lower_scatter(Lowering& l, const Node& n, int, const Index& at) {
  const int64_t axis = std::get<AxisAttrs>(n.attrs).axis;
  const Value data = n.operands[0], indices = n.operands[1], updates = n.operands[2];
  const Dims data_dims = l.dims(data), index_dims = l.dims(indices);
  // A single index still needs a reduction space of one step.
  const Index steps = l.reduction(index_dims.empty() ? Dims{1} : index_dims);
  const Index place = index_dims.empty() ? Index() : steps;
  const int64_t extent = data_dims[static_cast<size_t>(axis)];
  const AxisIndex target = limited(l, indices, place, extent);
  const ScalarId update = l.pull(updates, with_axis(at, axis, place.axes));
  l.scatter(with_axis(at, axis, {target}), data_dims, update, combine);
  return update;
}

void vjp_scatter_add(Vjp& v) {
  const int64_t axis = v.attrs<AxisAttrs>().axis;
  v.give(0, v.g());
  if (v.wants(2)) v.give(2, gather(v.g(), v.in(1), axis));
}

// What an element got is the product of the data and its updates. The others' product is formed by
// leaving out the zeros and counting them.
void vjp_scatter_mul(Vjp& v) {
  const int64_t axis = v.attrs<AxisAttrs>().axis;
  const Expr data = v.in(0), at = v.in(1), updates = v.in(2), g = v.g();
  if (v.wants(0)) v.give(0, g * scatter_mul(full_like(data, 1), at, updates, axis));
  if (!v.wants(2)) return;
  const Expr zero = eq(updates, 0), one = full_like(updates, 1);
  const Expr rest = select(zero, one, updates);
  const Expr product = scatter_mul(data, at, rest, axis);
  const Expr zeros =
      scatter_add(full_like(data, 0), at, select(zero, one, full_like(updates, 0)), axis);
  const Expr others = gather(zeros, at, axis) - select(zero, one, full_like(updates, 0));
  const Expr value = gather(g * product, at, axis) / rest;
  v.give(2, select(eq(others, 0), value, full_like(value, 0)));
}

// Shared equally among the data and the updates that reach the extreme.
void vjp_scatter_extreme(Vjp& v) {
  const int64_t axis = v.attrs<AxisAttrs>().axis;
  const Expr at = v.in(1), out = v.out();
  const auto reached = [](const Expr& x, const Expr& extreme) {
    return cast(eq(x, extreme), x.dtype());
  };
  const Expr of_data = reached(v.in(0), out);
  const Expr of_updates = reached(v.in(2), gather(out, at, axis));
  const Expr share = v.g() / max(scatter_add(of_data, at, of_updates, axis), 1);
  if (v.wants(0)) v.give(0, share * of_data);
  if (v.wants(2)) v.give(2, gather(share, at, axis) * of_updates);
}

}  // namespace

LATHE_OP(gather, {.name = "gather",
                  .arity = 2,
                  .cls = OpClass::Gather,
                  .attrs = attrs_index<AxisAttrs>,
                  .infer = infer_gather,
                  .eval = eval_gather,
                  .lower = lower_gather,
                  .vjp = vjp_gather});

LATHE_OP(scatter_add, {.name = "scatter_add",
                       .arity = 3,
                       .cls = OpClass::Scatter,
                       .attrs = attrs_index<AxisAttrs>,
                       .infer = infer_scatter,
                       .eval = eval_scatter_add,
                       .lower = lower_scatter<Combine::Add>,
                       .vjp = vjp_scatter_add});

LATHE_OP(scatter_mul, {.name = "scatter_mul",
                       .arity = 3,
                       .cls = OpClass::Scatter,
                       .attrs = attrs_index<AxisAttrs>,
                       .infer = infer_scatter,
                       .eval = eval_scatter_mul,
                       .lower = lower_scatter<Combine::Mul>,
                       .vjp = vjp_scatter_mul});

LATHE_OP(scatter_max, {.name = "scatter_max",
                       .arity = 3,
                       .cls = OpClass::Scatter,
                       .attrs = attrs_index<AxisAttrs>,
                       .infer = infer_scatter,
                       .eval = eval_scatter_max,
                       .lower = lower_scatter<Combine::Max>,
                       .vjp = vjp_scatter_extreme});

LATHE_OP(scatter_min, {.name = "scatter_min",
                       .arity = 3,
                       .cls = OpClass::Scatter,
                       .attrs = attrs_index<AxisAttrs>,
                       .infer = infer_scatter,
                       .eval = eval_scatter_min,
                       .lower = lower_scatter<Combine::Min>,
                       .vjp = vjp_scatter_extreme});

}  // namespace lathe
