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

constexpr OpRow kRows[] = {
    {"Gemm", 1, gemm},
    {"MatMul", 1, matmul_row},
};

}  // namespace

std::span<const OpRow> matmul_rows() { return kRows; }

}  // namespace lathe::onnx
