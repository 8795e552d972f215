// Reductions and cumulative sums.
//
// An empty reduction gives the identity: 0, 1, -inf (MIN), +inf (MAX); for bool, max is "any" and
// min is "all". NaN wins every max and min.
#include <cmath>
#include <limits>

#include "ir/axes.h"
#include "ir/eval.h"
#include "ir/lowering.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace lathe {
namespace {

Dims kept_axes(int rank, const Dims& axes) {
  Dims kept;
  size_t next = 0;
  for (int64_t a = 0; a < rank; ++a) {
    if (next < axes.size() && axes[next] == a) ++next;
    else kept.push_back(a);
  }
  return kept;
}

Result<Types> infer_reduce(const InferArgs& a) {
  const TensorType& x = a.operand(0);
  const Dims& axes = a.get<AxesAttrs>().axes;
  for (size_t i = 0; i < axes.size(); ++i) {
    if (axes[i] < 0 || axes[i] >= x.rank())  // [reduce-1]
      return failure("axis {} is outside an operand of rank {}", axes[i], x.rank());
    if (i > 0 && axes[i] <= axes[i - 1])  // [reduce-2]
      return failure("axes must increase, but {} follows {}", axes[i], axes[i - 1]);
  }
  std::vector<Dim> dims;
  for (int64_t axis : kept_axes(x.rank(), axes)) dims.push_back(x.shape[static_cast<int>(axis)]);
  return Types{{x.dtype, Shape(std::move(dims))}};
}

Result<Types> infer_reduce_numeric(const InferArgs& a) {
  if (a.operand(0).dtype == DType::boolean)  // [reduce-3]
    return failure("operand is bool; cast it to a number first");
  return infer_reduce(a);
}

// Folds every operand element into its result element, in row-major order.
template <class OnFloat, class OnInt>
void eval_reduce(Evaluation& e, double float_identity, int64_t int_identity, OnFloat&& on_float,
                 OnInt&& on_int) {
  const EvalTensor& x = e.in(0);
  EvalTensor& out = e.out();
  out.f.assign(out.f.size(), float_identity);
  out.i.assign(out.i.size(), int_identity);
  const Dims kept = kept_axes(static_cast<int>(x.dims.size()), e.attrs<AxesAttrs>().axes);
  const Dims out_strides = row_major_strides(out.dims);
  Dims strides(x.dims.size(), 0);
  for (size_t k = 0; k < kept.size(); ++k) strides[static_cast<size_t>(kept[k])] = out_strides[k];
  size_t from = 0;
  for_each_index(x.dims, [&](const Dims& index) {
    int64_t offset = 0;
    for (size_t a = 0; a < index.size(); ++a) offset += index[a] * strides[a];
    const auto to = static_cast<size_t>(offset);
    if (x.floating()) out.f[to] = on_float(out.f[to], x.f[from]);
    else out.i[to] = on_int(out.i[to], x.i[from]);
    ++from;
  });
}

int bits(DType t) { return static_cast<int>(8 * byte_size(t)); }

int64_t smallest(DType t) {
  if (t == DType::boolean || !is_signed(t)) return 0;
  return std::numeric_limits<int64_t>::min() >> (64 - bits(t));
}
int64_t largest(DType t) {
  if (t == DType::boolean) return 1;
  if (is_signed(t)) return std::numeric_limits<int64_t>::max() >> (64 - bits(t));
  return static_cast<int64_t>(~uint64_t{0} >> (64 - bits(t)));
}
bool less(DType t, int64_t a, int64_t b) {
  return is_signed(t) ? a < b : static_cast<uint64_t>(a) < static_cast<uint64_t>(b);
}
int64_t add_wrapping(DType t, int64_t a, int64_t b) {
  return wrap_integer(t, static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)));
}
int64_t mul_wrapping(DType t, int64_t a, int64_t b) {
  return wrap_integer(t, static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b)));
}

void eval_sum(Evaluation& e) {
  const DType t = e.in(0).dtype;
  eval_reduce(
      e, 0, 0, [](double a, double b) { return a + b; },
      [t](int64_t a, int64_t b) { return add_wrapping(t, a, b); });
}

void eval_prod(Evaluation& e) {
  const DType t = e.in(0).dtype;
  eval_reduce(
      e, 1, 1, [](double a, double b) { return a * b; },
      [t](int64_t a, int64_t b) { return mul_wrapping(t, a, b); });
}

void eval_max(Evaluation& e) {
  const DType t = e.in(0).dtype;
  eval_reduce(
      e, -std::numeric_limits<double>::infinity(), smallest(t),
      [](double a, double b) { return std::isnan(a) || a > b ? a : b; },
      [t](int64_t a, int64_t b) { return less(t, a, b) ? b : a; });
}

void eval_min(Evaluation& e) {
  const DType t = e.in(0).dtype;
  eval_reduce(
      e, std::numeric_limits<double>::infinity(), largest(t),
      [](double a, double b) { return std::isnan(a) || a < b ? a : b; },
      [t](int64_t a, int64_t b) { return less(t, b, a) ? b : a; });
}

ScalarId lower_reduce(Lowering& l, const Node& n, const Index& at, Combine combine) {
  const Value x = n.operands[0];
  const Dims& axes = std::get<AxesAttrs>(n.attrs).axes;
  if (axes.empty()) return l.pull(x, at);
  const Dims dims = l.dims(x);
  Dims extents;
  for (int64_t a : axes) extents.push_back(dims[static_cast<size_t>(a)]);
  const Index red = l.reduction(extents);
  Index source;
  source.axes.resize(dims.size());
  const Dims kept = kept_axes(static_cast<int>(dims.size()), axes);
  for (size_t i = 0; i < kept.size(); ++i) source[kept[i]] = at.axes[i];
  for (size_t i = 0; i < axes.size(); ++i) source[axes[i]] = red.axes[i];
  return l.accumulate(combine, l.type(x).dtype, l.pull(x, source));
}

ScalarId lower_sum(Lowering& l, const Node& n, int, const Index& at) {
  return lower_reduce(l, n, at, Combine::Add);
}
ScalarId lower_prod(Lowering& l, const Node& n, int, const Index& at) {
  return lower_reduce(l, n, at, Combine::Mul);
}
ScalarId lower_max(Lowering& l, const Node& n, int, const Index& at) {
  const bool any = n.types[0].dtype == DType::boolean;
  return lower_reduce(l, n, at, any ? Combine::Or : Combine::Max);
}
ScalarId lower_min(Lowering& l, const Node& n, int, const Index& at) {
  const bool all = n.types[0].dtype == DType::boolean;
  return lower_reduce(l, n, at, all ? Combine::And : Combine::Min);
}

// A reduced value repeated along the reduced axes.
Expr spread(const Expr& reduced, const Expr& like, const Dims& axes) {
  return broadcast(reduced, like.shape(), kept_axes(like.rank(), axes));
}

void vjp_sum(Vjp& v) { v.give(0, spread(v.g(), v.in(0), v.attrs<AxesAttrs>().axes)); }

// g split equally among all elements that tie for the extremum.
void vjp_extremum(Vjp& v) {
  const Dims axes = v.attrs<AxesAttrs>().axes;
  const Expr x = v.in(0);
  const Expr tied = eq(x, spread(v.out(), x, axes));
  const Expr count = reduce_sum(cast(tied, x.dtype()), axes);
  v.give(0, select(tied, spread(v.g() / count, x, axes), full_like(x, 0)));
}

// d/dx_i = g * product of the others, each formed as a product of its own (n^2 factors): unlike
// out / x_i this is right where elements are zero, and so are its own derivatives.
void vjp_prod(Vjp& v) {
  const Dims axes = v.attrs<AxesAttrs>().axes;
  const Expr x = v.in(0);
  const Dims kept = kept_axes(x.rank(), axes);
  Dims perm = kept;
  perm.insert(perm.end(), axes.begin(), axes.end());
  const Dims back = inverse_perm(perm);

  const Expr moved = transpose(x, perm);
  std::vector<Dim> line;
  Dims lead;
  for (int64_t a : kept) {
    lead.push_back(std::ssize(line));
    line.push_back(x.shape()[static_cast<int>(a)]);
  }
  Dim n = 1;
  for (int64_t a : axes) n = n * x.shape()[static_cast<int>(a)];
  line.push_back(n);
  std::vector<Dim> rows = line;
  rows.push_back(n);
  const int64_t row = std::ssize(lead);
  Dims columns = lead;
  columns.push_back(row + 1);

  const Expr factors = broadcast(reshape(moved, Shape(line)), Shape(rows), columns);
  const Expr own = eq(iota(v.graph(), DType::i64, Shape(rows), row),
                      iota(v.graph(), DType::i64, Shape(rows), row + 1));
  const Expr others = reduce_prod(select(own, full_like(factors, 1), factors), {row + 1});
  const Expr cotangent = broadcast(v.g(), Shape(line), lead) * others;
  v.give(0, transpose(reshape(cotangent, moved.shape()), back));
}

Result<Types> infer_cumsum(const InferArgs& a) {
  const TensorType& x = a.operand(0);
  const int64_t axis = a.get<CumulativeAttrs>().axis;
  if (axis < 0 || axis >= x.rank())  // [cumsum-1]
    return failure("axis {} is outside an operand of rank {}", axis, x.rank());
  if (x.dtype == DType::boolean)  // [cumsum-2]
    return failure("operand is bool; cast it to a number first");
  return Types{x};
}

void eval_cumsum(Evaluation& e) {
  const auto& attrs = e.attrs<CumulativeAttrs>();
  const EvalTensor& x = e.in(0);
  EvalTensor& out = e.out();
  const auto axis = static_cast<size_t>(attrs.axis);
  const int64_t extent = x.dims[axis];
  const int64_t stride = row_major_strides(x.dims)[axis];
  const auto run = [&](int64_t start, const auto& in, auto& result, auto plus) {
    typename std::decay_t<decltype(in)>::value_type sum = 0;
    for (int64_t k = 0; k < extent; ++k) {
      const auto p = static_cast<size_t>(start + (attrs.reverse ? extent - 1 - k : k) * stride);
      const auto next = plus(sum, in[p]);
      result[p] = attrs.exclusive ? sum : next;
      sum = next;
    }
  };
  for (int64_t i = 0; i < x.size(); ++i) {
    if (i / stride % extent != 0) continue;
    if (x.floating()) run(i, x.f, out.f, [](double a, double b) { return a + b; });
    else run(i, x.i, out.i, [&](int64_t a, int64_t b) { return add_wrapping(x.dtype, a, b); });
  }
}

ScalarId lower_cumsum(Lowering& l, const Node& n, int, const Index& at) {
  const auto& attrs = std::get<CumulativeAttrs>(n.attrs);
  const Value x = n.operands[0];
  const int64_t extent = l.dims(x)[static_cast<size_t>(attrs.axis)];
  const IndexExpr step = l.cumulative_index(extent, attrs.exclusive);
  Index source = at;
  source[attrs.axis] = attrs.reverse ? step * -1 + IndexExpr(extent - 1) : step;
  return l.accumulate(Combine::Add, l.type(x).dtype, l.pull(x, source));
}

void vjp_cumsum(Vjp& v) {
  const auto attrs = v.attrs<CumulativeAttrs>();
  v.give(0, cumsum(v.g(), attrs.axis, !attrs.reverse, attrs.exclusive));
}

}  // namespace

LATHE_OP(reduce_sum, {.name = "reduce_sum",
                      .cls = OpClass::Reduce,
                      .attrs = attrs_index<AxesAttrs>,
                      .infer = infer_reduce_numeric,
                      .eval = eval_sum,
                      .lower = lower_sum,
                      .vjp = vjp_sum});

LATHE_OP(reduce_max, {.name = "reduce_max",
                      .cls = OpClass::Reduce,
                      .attrs = attrs_index<AxesAttrs>,
                      .infer = infer_reduce,
                      .eval = eval_max,
                      .lower = lower_max,
                      .vjp = vjp_extremum});

LATHE_OP(reduce_min, {.name = "reduce_min",
                      .cls = OpClass::Reduce,
                      .attrs = attrs_index<AxesAttrs>,
                      .infer = infer_reduce,
                      .eval = eval_min,
                      .lower = lower_min,
                      .vjp = vjp_extremum});

LATHE_OP(reduce_prod, {.name = "reduce_prod",
                       .cls = OpClass::Reduce,
                       .attrs = attrs_index<AxesAttrs>,
                       .infer = infer_reduce_numeric,
                       .eval = eval_prod,
                       .lower = lower_prod,
                       .vjp = vjp_prod});

LATHE_OP(cumsum, {.name = "cumsum",
                  .cls = OpClass::Cumulative,
                  .attrs = attrs_index<CumulativeAttrs>,
                  .infer = infer_cumsum,
                  .eval = eval_cumsum,
                  .lower = lower_cumsum,
                  .vjp = vjp_cumsum});

}  // namespace lathe
