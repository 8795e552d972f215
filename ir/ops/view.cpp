// Views that rename elements: reshape, transpose, broadcast, slice.
#include "ir/ops/view.h"

#include <algorithm>

#include "ir/axes.h"

namespace lathe {
namespace {

Result<Types> infer_reshape(const InferArgs& args) {
  const TensorType& x = args.operand(0);
  const Shape& shape = args.get<ShapeAttrs>().shape;
  for (const Dim& d : shape)
    if (d.is_static() && d.value() < 0)  // [reshape-1]
      return failure("shape [{}] has a negative dimension", shape.text());
  if (!(x.shape.volume() == shape.volume()))  // [reshape-2]
    return failure("[{}] has {} elements, the new shape [{}] has {}", x.shape.text(),
                   x.shape.volume().text(), shape.text(), shape.volume().text());
  return Types{{x.dtype, shape}};
}

void eval_reshape(Evaluation& e) {
  const Dims dims = e.out().dims;
  e.out() = e.in(0);
  e.out().dims = dims;
}

ScalarId lower_reshape(Lowering& l, const Node& n, int, const Index& at) {
  const Value x = n.operands[0];
  const AxisIndex offset = l.linear(at, n.types[0].shape.static_dims());
  if (l.materialised(x)) return l.load_linear(x, offset);
  const Dims dims = l.dims(x);
  // Nothing to read: the index space is empty, and an extent of 0 cannot be divided by.
  if (std::ranges::count(dims, 0) > 0) return l.constant(compute_type(n.types[0].dtype), 0);
  return l.pull(x, l.delinearize(offset, dims));
}

Result<Types> infer_transpose(const InferArgs& args) {
  const TensorType& x = args.operand(0);
  const Dims& perm = args.get<PermAttrs>().perm;
  Dims sorted = perm;
  std::ranges::sort(sorted);
  bool is_permutation = std::ssize(perm) == x.rank();
  for (size_t i = 0; is_permutation && i < sorted.size(); ++i)
    is_permutation = sorted[i] == static_cast<int64_t>(i);
  if (!is_permutation)  // [transpose-1]
    return failure("perm [{}] is not a permutation of the {} axes", Shape(perm).text(), x.rank());
  std::vector<Dim> dims;
  for (int64_t axis : perm) dims.push_back(x.shape[static_cast<int>(axis)]);
  return Types{{x.dtype, Shape(std::move(dims))}};
}

void eval_transpose(Evaluation& e) {
  const Dims& perm = e.attrs<PermAttrs>().perm;
  view::eval_affine(e, [&](const Dims& strides) {
    view::Affine from;
    for (int64_t axis : perm) from.strides.push_back(strides[static_cast<size_t>(axis)]);
    return from;
  });
}

ScalarId lower_transpose(Lowering& l, const Node& n, int, const Index& at) {
  const Dims& perm = std::get<PermAttrs>(n.attrs).perm;
  Index from = at;
  for (size_t i = 0; i < perm.size(); ++i) from[perm[i]] = at[static_cast<int64_t>(i)];
  return l.pull(n.operands[0], from);
}

void vjp_transpose(Vjp& v) { v.give(0, transpose(v.g(), inverse_perm(v.attrs<PermAttrs>().perm))); }

Result<Types> infer_broadcast(const InferArgs& args) {
  const TensorType& x = args.operand(0);
  const auto& a = args.get<BroadcastAttrs>();
  if (std::ssize(a.axes) != x.rank())  // [broadcast-1]
    return failure("{} axes are named for an operand of rank {}", a.axes.size(), x.rank());
  int64_t previous = -1;
  for (int i = 0; i < x.rank(); ++i) {
    const int64_t axis = a.axes[static_cast<size_t>(i)];
    if (axis <= previous || axis >= a.shape.rank())  // [broadcast-2]
      return failure("axes [{}] are not increasing axes of shape [{}]", Shape(a.axes).text(),
                     a.shape.text());
    previous = axis;
    const Dim& wide = a.shape[static_cast<int>(axis)];
    if (!(x.shape[i] == wide) && !(x.shape[i] == Dim(1)))  // [broadcast-3]
      return failure("axis {} of length {} does not stretch to {}", i, x.shape[i].text(),
                     wide.text());
  }
  for (const Dim& d : a.shape)
    if (d.is_static() && d.value() < 0)  // [broadcast-4]
      return failure("shape [{}] has a negative dimension", a.shape.text());
  return Types{{x.dtype, a.shape}};
}

void eval_broadcast(Evaluation& e) {
  const Dims& axes = e.attrs<BroadcastAttrs>().axes;
  view::eval_affine(e, [&](const Dims& strides) {
    view::Affine from{0, Dims(e.out().dims.size(), 0)};
    for (size_t i = 0; i < axes.size(); ++i)
      if (e.in(0).dims[i] != 1) from.strides[static_cast<size_t>(axes[i])] = strides[i];
    return from;
  });
}

ScalarId lower_broadcast(Lowering& l, const Node& n, int, const Index& at) {
  const Dims& axes = std::get<BroadcastAttrs>(n.attrs).axes;
  const Dims dims = l.dims(n.operands[0]);
  Index from;
  for (size_t i = 0; i < axes.size(); ++i)
    from.axes.push_back(dims[i] == 1 ? AxisIndex(0) : at[axes[i]]);
  return l.pull(n.operands[0], from);
}

// What was repeated is summed.
void vjp_broadcast(Vjp& v) {
  const Dims axes = v.attrs<BroadcastAttrs>().axes;
  const Shape narrow = v.in(0).shape(), wide = v.out().shape();
  Dims summed;
  for (int axis = 0; axis < wide.rank(); ++axis) {
    const auto found = std::ranges::find(axes, axis);
    const bool repeated =
        found == axes.end() || !(narrow[static_cast<int>(found - axes.begin())] == wide[axis]);
    if (repeated) summed.push_back(axis);
  }
  v.give(0, reshape(summed.empty() ? v.g() : reduce_sum(v.g(), summed), narrow));
}

// Why elements start, start+stride, .. (size of them) are not all inside [0, dim); empty if they
// are, or if that is not known before symbols are bound.
std::string out_of_range(const Dim& start, const Dim& size, int64_t stride, const Dim& dim) {
  if (size.is_static() && size.value() <= 0) return size.value() < 0 ? "a negative size" : "";
  const Dim last = start + (size - 1) * stride;
  for (const Dim& end : {start, last}) {
    const Dim above = dim - 1 - end;
    if ((end.is_static() && end.value() < 0) || (above.is_static() && above.value() < 0))
      return fmt::format("element {} of an axis of length {}", end.text(), dim.text());
  }
  return "";
}

Result<Types> infer_slice(const InferArgs& args) {
  const TensorType& x = args.operand(0);
  const auto& a = args.get<SliceAttrs>();
  const auto rank = static_cast<size_t>(x.rank());
  if (a.start.size() != rank || a.size.size() != rank || a.stride.size() != rank)  // [slice-1]
    return failure("start, size and stride have {}, {} and {} entries for rank {}", a.start.size(),
                   a.size.size(), a.stride.size(), rank);
  for (size_t i = 0; i < rank; ++i) {
    if (a.stride[i] == 0)  // [slice-2]
      return failure("the stride of axis {} is 0", i);
    const std::string why =
        out_of_range(a.start[i], a.size[i], a.stride[i], x.shape[static_cast<int>(i)]);
    if (!why.empty())  // [slice-3]
      return failure("axis {} asks for {}", i, why);
  }
  return Types{{x.dtype, Shape(a.size)}};
}

void eval_slice(Evaluation& e) {
  const auto& a = e.attrs<SliceAttrs>();
  view::eval_affine(e, [&](const Dims& strides) {
    view::Affine from;
    for (size_t i = 0; i < strides.size(); ++i) {
      from.start += a.start[i].value() * strides[i];
      from.strides.push_back(a.stride[i] * strides[i]);
    }
    return from;
  });
}

ScalarId lower_slice(Lowering& l, const Node& n, int, const Index& at) {
  const auto& a = std::get<SliceAttrs>(n.attrs);
  Index from;
  for (size_t i = 0; i < a.stride.size(); ++i) {
    const IndexExpr& j = view::affine(at[static_cast<int64_t>(i)]);
    from.axes.emplace_back(j * a.stride[i] + IndexExpr(a.start[i].value()));
  }
  return l.pull(n.operands[0], from);
}

// The cotangent goes back to its places among zeros: reversed where the stride is negative, with
// stride-1 zeros between neighbours.
void vjp_slice(Vjp& v) {
  const auto a = v.attrs<SliceAttrs>();
  const Shape whole = v.in(0).shape();
  Expr g = v.g();
  std::vector<Dim> low, high;
  Dims interior;
  for (int i = 0; i < whole.rank(); ++i) {
    const auto axis = static_cast<size_t>(i);
    const Dim &size = a.size[axis], &start = a.start[axis];
    if (size == Dim(0)) return v.give(0, full_like(v.in(0), 0));
    const int64_t step = std::abs(a.stride[axis]);
    if (a.stride[axis] < 0) g = reverse(g, i);
    const Dim span = (size - 1) * step;
    low.push_back(a.stride[axis] < 0 ? start - span : start);
    high.push_back(whole[i] - low.back() - span - 1);
    interior.push_back(step - 1);
  }
  v.give(0, pad(g, 0, std::move(low), std::move(high), std::move(interior)));
}

}  // namespace

LATHE_OP(reshape, {.name = "reshape",
                   .cls = OpClass::View,
                   .same_bytes = true,
                   .attrs = attrs_index<ShapeAttrs>,
                   .infer = infer_reshape,
                   .eval = eval_reshape,
                   .lower = lower_reshape,
                   .vjp = [](Vjp& v) { v.give(0, reshape(v.g(), v.in(0).shape())); },
                   .range = ranges::of_operand});

LATHE_OP(transpose, {.name = "transpose",
                     .cls = OpClass::View,
                     .attrs = attrs_index<PermAttrs>,
                     .infer = infer_transpose,
                     .eval = eval_transpose,
                     .lower = lower_transpose,
                     .vjp = vjp_transpose,
                     .range = ranges::of_operand});

LATHE_OP(broadcast, {.name = "broadcast",
                     .cls = OpClass::View,
                     .attrs = attrs_index<BroadcastAttrs>,
                     .infer = infer_broadcast,
                     .eval = eval_broadcast,
                     .lower = lower_broadcast,
                     .vjp = vjp_broadcast,
                     .range = ranges::of_operand});

LATHE_OP(slice, {.name = "slice",
                 .cls = OpClass::View,
                 .attrs = attrs_index<SliceAttrs>,
                 .infer = infer_slice,
                 .eval = eval_slice,
                 .lower = lower_slice,
                 .vjp = vjp_slice});

}  // namespace lathe
