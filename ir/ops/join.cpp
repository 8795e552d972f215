// Views with several sources: pad (operand and fill) and concat.
#include <algorithm>
#include <numeric>

#include "ir/ops/view.h"

namespace lathe {
namespace {

// Length of an axis after padding. A symbolic length is taken as at least 1.
Dim padded(const Dim& dim, const Dim& low, const Dim& high, int64_t interior) {
  const Dim between = dim == Dim(0) ? Dim(0) : (dim - 1) * interior;
  return dim + low + high + between;
}

Result<Types> infer_pad(const InferArgs& args) {
  const TensorType& x = args.operand(0);
  const auto& a = args.get<PadAttrs>();
  const auto rank = static_cast<size_t>(x.rank());
  if (a.low.size() != rank || a.high.size() != rank || a.interior.size() != rank)  // [pad-1]
    return failure("low, high and interior have {}, {} and {} entries for rank {}", a.low.size(),
                   a.high.size(), a.interior.size(), rank);
  if (!(args.operand(1) == TensorType{x.dtype, {}}))  // [pad-2]
    return failure("the fill is {}, a scalar {}[] is expected", args.operand(1).text(),
                   name(x.dtype));
  std::vector<Dim> dims;
  for (size_t i = 0; i < rank; ++i) {
    if (a.interior[i] < 0)  // [pad-3]
      return failure("interior padding {} of axis {} is negative", a.interior[i], i);
    dims.push_back(padded(x.shape[static_cast<int>(i)], a.low[i], a.high[i], a.interior[i]));
    if (dims.back().is_static() && dims.back().value() < 0)  // [pad-4]
      return failure("axis {} is cropped to length {}", i, dims.back().text());
  }
  return Types{{x.dtype, Shape(std::move(dims))}};
}

void eval_pad(Evaluation& e) {
  const auto& a = e.attrs<PadAttrs>();
  const EvalTensor& x = e.in(0);
  EvalTensor& out = e.out();
  for (int64_t k = 0; k < out.size(); ++k) out.copy_element(k, e.in(1), 0);
  const Dims strides = row_major_strides(out.dims);
  int64_t from = -1;
  for_each_index(x.dims, [&](const Dims& at) {
    ++from;
    int64_t to = 0;
    for (size_t i = 0; i < at.size(); ++i) {
      const int64_t place = a.low[i].value() + at[i] * (a.interior[i] + 1);
      if (place < 0 || place >= out.dims[i]) return;
      to += place * strides[i];
    }
    out.copy_element(to, x, from);
  });
}

// Integers beyond 2^53 are not exact as the double that `guarded` takes.
std::optional<double> fill_number(const Node& n) {
  if (n.op != OpId::constant) return std::nullopt;
  const Tensor& value = std::get<ConstantAttrs>(n.attrs).value;
  if (!is_float(value.dtype()) && std::abs(value.at(0)) > 0x1p53) return std::nullopt;
  return value.at(0);
}

ScalarId lower_pad(Lowering& l, const Node& n, int, const Index& at) {
  const auto& a = std::get<PadAttrs>(n.attrs);
  const Dims dims = l.dims(n.operands[0]);
  const DType type = compute_type(n.types[0].dtype);
  std::vector<GuardId> guards;
  Index from;
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t step = a.interior[i] + 1;
    const IndexExpr place =
        view::affine(at[static_cast<int64_t>(i)]) + IndexExpr(-a.low[i].value());
    const int64_t limit = std::max<int64_t>((dims[i] - 1) * step + 1, 0);
    if (const auto g = l.guard(place, limit, step)) guards.push_back(*g);
    from.axes.emplace_back(l.floordiv(place, step));
  }
  const auto inside = [&] { return l.pull(n.operands[0], from); };
  if (const auto fill = fill_number(l.node(n.operands[1])))
    return l.guarded(guards, type, *fill, inside);
  const ScalarId value = l.guarded(guards, type, 0, inside);
  if (guards.empty()) return value;
  const ScalarId fill = l.pull(n.operands[1], Index{});
  return l.emit(Scalar::Select, type, {l.guard_test(guards), value, fill});
}

int64_t cropped(const Dim& amount) {
  return amount.is_static() && amount.value() < 0 ? -amount.value() : 0;
}

// The operand's elements are sliced out of the cotangent, after zeros are put where padding
// cropped; the fill gets the rest of the sum.
void vjp_pad(Vjp& v) {
  const auto a = v.attrs<PadAttrs>();
  const Shape shape = v.in(0).shape();
  const auto rank = static_cast<size_t>(shape.rank());
  std::vector<Dim> low, high, start;
  Dims stride;
  for (size_t i = 0; i < rank; ++i) {
    low.push_back(cropped(a.low[i]));
    high.push_back(cropped(a.high[i]));
    start.push_back(a.low[i] + low.back());
    stride.push_back(a.interior[i] + 1);
  }
  const bool crops = low != std::vector<Dim>(rank) || high != std::vector<Dim>(rank);
  const Expr whole = crops ? pad(v.g(), 0, std::move(low), std::move(high)) : v.g();
  const Expr inside = slice(whole, std::move(start), shape.dims(), std::move(stride));
  v.give(0, inside);
  if (!v.wants(1)) return;
  Dims all(rank);
  std::iota(all.begin(), all.end(), 0);
  v.give(1, reduce_sum(v.g(), all) - reduce_sum(inside, all));
}

Result<Types> infer_concat(const InferArgs& args) {
  const auto axis = static_cast<int>(args.get<AxisAttrs>().axis);
  if (args.operands.empty())  // [concat-1]
    return failure("no operands are given, at least one is expected");
  TensorType out = args.operand(0);
  if (axis < 0 || axis >= out.rank())  // [concat-2]
    return failure("axis {} is not one of shape [{}]", axis, out.shape.text());
  for (const TensorType& t : args.operands.subspan(1)) {
    if (t.dtype != out.dtype)  // [concat-3]
      return failure("operands have element types {} and {}", name(out.dtype), name(t.dtype));
    bool fits = t.rank() == out.rank();
    for (int i = 0; fits && i < t.rank(); ++i) fits = i == axis || t.shape[i] == out.shape[i];
    if (!fits)  // [concat-4]
      return failure("shapes [{}] and [{}] differ outside of axis {}", args.operand(0).shape.text(),
                     t.shape.text(), axis);
    out.shape[axis] = out.shape[axis] + t.shape[axis];
  }
  return Types{out};
}

void eval_concat(Evaluation& e) {
  const auto axis = static_cast<size_t>(e.attrs<AxisAttrs>().axis);
  const Dims strides = row_major_strides(e.out().dims);
  int64_t before = 0;
  for (int k = 0; k < e.operand_count(); ++k) {
    int64_t from = 0;
    for_each_index(e.in(k).dims, [&](const Dims& at) {
      int64_t to = before * strides[axis];
      for (size_t i = 0; i < at.size(); ++i) to += at[i] * strides[i];
      e.out().copy_element(to, e.in(k), from++);
    });
    before += e.in(k).dims[axis];
  }
}

// select(in part 0, part 0, select(in part 1, part 1, ..)), each part loaded under its guard.
ScalarId lower_concat(Lowering& l, const Node& n, int, const Index& at) {
  const int64_t axis = std::get<AxisAttrs>(n.attrs).axis;
  const DType type = compute_type(n.types[0].dtype);
  const IndexExpr& place = view::affine(at[axis]);
  struct Part {
    ScalarId value, test;
  };
  std::vector<Part> parts;
  int64_t before = 0;
  for (const Value& operand : n.operands) {
    const int64_t length = l.dims(operand)[static_cast<size_t>(axis)];
    Index from = at;
    from[axis] = AxisIndex(place + IndexExpr(-before));
    before += length;
    if (length == 0) continue;
    const auto inside = [&] { return l.pull(operand, from); };
    const auto guard = l.guard(from[axis].expr, length);
    if (!guard) return inside();  // the kernel only visits this part
    parts.push_back({l.guarded({*guard}, type, 0, inside), l.guard_test({*guard})});
  }
  if (parts.empty()) return l.constant(type, 0);
  ScalarId value = parts.back().value;
  for (size_t k = parts.size() - 1; k-- > 0;)
    value = l.emit(Scalar::Select, type, {parts[k].test, parts[k].value, value});
  return value;
}

void vjp_concat(Vjp& v) {
  const int64_t axis = v.attrs<AxisAttrs>().axis;
  const auto count = static_cast<int>(v.node().operands.size());
  Dim before = 0;
  for (int k = 0; k < count; ++k) {
    const Dim length = v.in(k).shape()[static_cast<int>(axis)];
    if (v.wants(k)) v.give(k, slice_axis(v.g(), axis, before, length));
    before = before + length;
  }
}

}  // namespace

LATHE_OP(pad, {.name = "pad",
               .arity = 2,
               .cls = OpClass::View,
               .attrs = attrs_index<PadAttrs>,
               .infer = infer_pad,
               .eval = eval_pad,
               .lower = lower_pad,
               .vjp = vjp_pad});

LATHE_OP(concat, {.name = "concat",
                  .arity = kVariadic,
                  .cls = OpClass::View,
                  .attrs = attrs_index<AxisAttrs>,
                  .infer = infer_concat,
                  .eval = eval_concat,
                  .lower = lower_concat,
                  .vjp = vjp_concat});

}  // namespace lathe
