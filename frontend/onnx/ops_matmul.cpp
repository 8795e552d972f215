// Matrix products.
#include "frontend/onnx/matmul.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {

Expr numpy_matmul(const Expr& a, const Expr& b, DType result) {
  if (a.rank() == 0 || b.rank() == 0)
    fail("{} and {}: at least one axis was expected", a.type().text(), b.type().text());
  if (a.rank() == 1) {
    const Expr y = numpy_matmul(expand_dims(a, 0), b, result);
    return squeeze(y, y.rank() - (b.rank() == 1 ? 1 : 2));
  }
  if (b.rank() == 1) {
    const Expr y = numpy_matmul(a, expand_dims(b, 1), result);
    return squeeze(y, y.rank() - 1);
  }
  if (b.rank() == 2)
    return dot_general(a, b,
                       {.lhs_contract = {a.rank() - 1}, .rhs_contract = {0}, .dtype = result});
  // Leading axes broadcast against each other.
  Dims batch;
  const Dims da = a.shape().static_dims(), db = b.shape().static_dims();
  const int64_t rank = std::max(a.rank(), b.rank());
  for (int64_t i = 0; i < rank - 2; ++i) {
    const int64_t ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const int64_t na = ia < 0 ? 1 : da[static_cast<size_t>(ia)];
    const int64_t nb = ib < 0 ? 1 : db[static_cast<size_t>(ib)];
    if (na != nb && na != 1 && nb != 1)
      fail("{} and {} do not broadcast", a.type().text(), b.type().text());
    batch.push_back(na == 1 ? nb : na);
  }
  const auto full_shape = [&](const Dims& dims) {
    Dims out = batch;
    out.insert(out.end(), dims.end() - 2, dims.end());
    return Shape(out);
  };
  const Dims axes = range(0, rank - 2);
  return dot_general(broadcast_to(a, full_shape(da)), broadcast_to(b, full_shape(db)),
                     {.lhs_batch = axes,
                      .rhs_batch = axes,
                      .lhs_contract = {rank - 1},
                      .rhs_contract = {rank - 2},
                      .dtype = result});
}

namespace {

void matmul_row(OpContext& c) { c.out(numpy_matmul(c.expr(0), c.expr(1), c.dtype(0))); }

// alpha * a' b' + beta * c
void gemm(OpContext& c) {
  const Expr a = c.expr(0), b = c.expr(1);
  if (a.rank() != 2 || b.rank() != 2)
    fail("{} and {}: two axes each were expected", a.type().text(), b.type().text());
  c.ignore({"broadcast"});
  const int64_t of_a = c.attr_int("transA", 0) != 0 ? 0 : 1;
  const int64_t of_b = c.attr_int("transB", 0) != 0 ? 1 : 0;
  const double alpha = c.attr_float("alpha", 1), beta = c.attr_float("beta", 1);
  Expr y = dot_general(a, b, {.lhs_contract = {of_a}, .rhs_contract = {of_b}, .dtype = a.dtype()});
  if (alpha != 1) y = y * alpha;
  if (c.has(2)) y = y + (beta == 1 ? c.expr(2) : c.expr(2) * beta);
  c.out(y);
}

// One step of Gaussian elimination with row pivoting of a [batch, n, n]: rows below k lose their
// element in column k. Carries k, the matrices, and the product of the pivots so far.
Region elimination_step(DType type, int64_t batch, int64_t n) {
  auto g = std::make_shared<Graph>("step");
  const Expr k = input(*g, "k", {DType::i64, {}});
  const Expr a = input(*g, "a", {type, Shape{batch, n, n}});
  const Expr product = input(*g, "product", {type, Shape{batch}});
  const Shape rows{batch, n};
  const Expr row = iota(*g, DType::i64, rows, 1), here = broadcast_to(k, rows);
  const Expr column = gather(a, k, 2);
  // The first of the largest elements on and below the diagonal.
  const Expr size = select(ge(row, here), abs(column), full_like(column, -1));
  const Expr largest = eq(size, broadcast_to(keep_axes(reduce_max(size, {1}), {1}), rows));
  const Expr found =
      reduce_min(select(largest, row, full_like(row, static_cast<double>(n - 1))), {1});
  const Expr pivot_row = broadcast_to(expand_dims(found, 1), rows);
  const Expr order = select(eq(row, here), pivot_row, select(eq(row, pivot_row), here, row));
  const Expr swapped = take_along(a, broadcast_to(expand_dims(order, 2), a.shape()), 1);
  const Expr top = gather(swapped, k, 1), below = gather(swapped, k, 2);
  const Expr pivot = gather(below, k, 1);
  const Expr safe = select(eq(pivot, 0), full_like(pivot, 1), pivot);
  const Expr factor = select(lt(here, row), below / expand_dims(safe, 1), full_like(below, 0));
  const Expr sign =
      select(eq(found, broadcast_to(k, found.shape())), full_like(pivot, 1), full_like(pivot, -1));
  g->add_output("k", (k + 1.0).value);
  g->add_output("a", (swapped - expand_dims(factor, 2) * expand_dims(top, 1)).value);
  g->add_output("product", (product * pivot * sign).value);
  return g;
}

void det(OpContext& c) {
  const Expr x = widened(c.expr(0));
  const Dims dims = c.dims(0);
  if (dims.size() < 2 || dims.back() != dims[dims.size() - 2])
    fail("its input is {}; square matrices were expected", c.input(0).signature());
  const int64_t n = dims.back();
  const Dims outer(dims.begin(), dims.end() - 2);
  const int64_t batch = element_count(outer);
  const Expr one = full(c.graph(), {x.dtype(), Shape{batch}}, 1);
  Expr y = one;
  if (n > 0)
    y = scan(c.graph(), elimination_step(x.dtype(), batch, n),
             {full(c.graph(), {DType::i64, {}}, 0), reshape(x, Shape{batch, n, n}), one}, {}, {},
             Dim(n))[2];
  c.out(cast(reshape(y, Shape(outer)), c.dtype(0)));
}

constexpr OpRow kRows[] = {
    {"Det", 11, det},
    {"Gemm", 1, gemm},
    {"MatMul", 1, matmul_row},
};

}  // namespace

std::span<const OpRow> matmul_rows() { return kRows; }

}  // namespace lathe::onnx
