// Reductions, and the position of the largest and the smallest.
#include <limits>

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

using Reduce = Expr (*)(const Expr& x, const Dims& axes);

Expr sum(const Expr& x, const Dims& axes) { return reduce_sum(x, axes); }
Expr product(const Expr& x, const Dims& axes) { return reduce_prod(x, axes); }
Expr maximum(const Expr& x, const Dims& axes) { return reduce_max(x, axes); }
Expr minimum(const Expr& x, const Dims& axes) { return reduce_min(x, axes); }
Expr average(const Expr& x, const Dims& axes) { return reduce_mean(x, axes); }
Expr l1(const Expr& x, const Dims& axes) { return reduce_sum(abs(x), axes); }
Expr sum_square(const Expr& x, const Dims& axes) { return reduce_sum(x * x, axes); }
Expr log_sum(const Expr& x, const Dims& axes) { return log(reduce_sum(x, axes)); }

Expr l2(const Expr& x, const Dims& axes) {
  if (is_float(x.dtype())) return sqrt(reduce_sum(x * x, axes));
  const Expr wide = cast(x, DType::f64);
  return cast(sqrt(reduce_sum(wide * wide, axes)), x.dtype());
}

// Around the largest element, or 0 where that is infinite or there is none.
Expr log_sum_exp(const Expr& x, const Dims& axes) {
  const Expr most = reduce_max(x, axes);
  const Expr finite = lt(abs(most), std::numeric_limits<double>::infinity());
  const Expr center = select(finite, most, full_like(most, 0));
  return log(reduce_sum(exp(x - keep_axes(center, axes)), axes)) + center;
}

// Axes are an attribute before the version at which they became an input.
template <Reduce f, int axes_input_since>
void reduce(OpContext& c) {
  const Expr x = c.expr(0);
  const bool keep = c.attr_int("keepdims", 1) != 0;
  const bool nothing = c.attr_int("noop_with_empty_axes", 0) != 0;
  const bool as_input = c.version() >= axes_input_since;
  Dims axes;
  if (as_input && c.has(1)) axes = c.ints(1);
  if (!as_input) axes = c.attr_ints("axes");
  // No axes: none of them, so only what f does to single elements is done.
  if (axes.empty() && !nothing) axes = range(0, x.rank());
  axes = c.axes(axes, x.rank());
  const Expr reduced = f(x, axes);
  c.out(keep ? keep_axes(reduced, axes) : reduced);
}

// The first (or last) position of the extreme element.
template <bool largest>
void arg_extreme(OpContext& c) {
  const Expr x = c.expr(0);
  const int64_t axis = c.axis(c.attr_int("axis", 0), x.rank());
  const bool keep = c.attr_int("keepdims", 1) != 0;
  const bool last = c.attr_int("select_last_index", 0) != 0;
  const Expr extreme = largest ? reduce_max(x, {axis}) : reduce_min(x, {axis});
  const Expr at = iota(c.graph(), DType::i64, x.shape(), axis);
  const Expr found = eq(x, keep_axes(extreme, {axis}));
  const Expr where = last ? reduce_max(select(found, at, full_like(at, 0)), {axis})
                          : reduce_min(select(found, at, full_like(at, 0x1p52)), {axis});
  c.out(keep ? keep_axes(where, {axis}) : where);
}

void cumsum_row(OpContext& c) {
  const Expr x = c.expr(0);
  const int64_t axis = c.axis(c.integer(1), x.rank());
  const bool exclusive = c.attr_int("exclusive", 0) != 0;
  c.out(cumsum(x, axis, c.attr_int("reverse", 0) != 0, exclusive));
}

// A scan along the axis.
void cumprod_row(OpContext& c) {
  const Expr x = c.expr(0);
  const int64_t axis = c.axis(c.integer(1), x.rank());
  const bool exclusive = c.attr_int("exclusive", 0) != 0;
  const bool backward = c.attr_int("reverse", 0) != 0;
  Dims perm = range(0, x.rank());
  perm.erase(perm.begin() + axis);
  perm.insert(perm.begin(), axis);
  const Expr steps = transpose(x, perm);
  Dims slice = steps.shape().static_dims();
  slice.erase(slice.begin());
  auto body = std::make_shared<Graph>("step");
  const Expr before = input(*body, "product", {x.dtype(), Shape(slice)});
  const Expr after = before * input(*body, "x", {x.dtype(), Shape(slice)});
  body->add_output("product", after.value);
  body->add_output("y", (exclusive ? before : after).value);
  const Expr one = full(c.graph(), {x.dtype(), Shape(slice)}, 1);
  const Expr y = scan(c.graph(), body, {one}, {steps}, {}, steps.shape()[0], backward)[1];
  Dims back = range(1, x.rank());
  back.insert(back.begin() + axis, 0);
  c.out(transpose(y, back));
}

constexpr OpRow kRows[] = {
    {"ArgMax", 1, arg_extreme<true>},
    {"ArgMin", 1, arg_extreme<false>},
    {"CumProd", 26, cumprod_row},
    {"CumSum", 11, cumsum_row},
    {"ReduceL1", 1, reduce<l1, 18>},
    {"ReduceL2", 1, reduce<l2, 18>},
    {"ReduceLogSum", 1, reduce<log_sum, 18>},
    {"ReduceLogSumExp", 1, reduce<log_sum_exp, 18>},
    {"ReduceMax", 1, reduce<maximum, 18>},
    {"ReduceMean", 1, reduce<average, 18>},
    {"ReduceMin", 1, reduce<minimum, 18>},
    {"ReduceProd", 1, reduce<product, 18>},
    {"ReduceSum", 1, reduce<sum, 13>},
    {"ReduceSumSquare", 1, reduce<sum_square, 18>},
};

}  // namespace

std::span<const OpRow> reduction_rows() { return kRows; }

}  // namespace lathe::onnx
