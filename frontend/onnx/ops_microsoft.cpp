// com.microsoft: what ONNX Runtime's optimiser writes into models that it saves (its docs,
// ContribOperators.md). Compositions of what ai.onnx has.
#include "frontend/onnx/formulas.h"
#include "frontend/onnx/matmul.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

void bias_gelu(OpContext& c) { c.out(exact_gelu(c.expr(0) + c.expr(1))); }

void fast_gelu(OpContext& c) {
  const Expr x = c.has(1) ? c.expr(0) + c.expr(1) : c.expr(0);
  c.out(tanh_gelu(x));
}

void quick_gelu(OpContext& c) {
  c.out(c.expr(0) * sigmoid(c.expr(0) * c.attr_float("alpha", 1.702)));
}

Expr last_two_swapped(const Expr& x) {
  if (x.rank() < 2) return x;
  Dims perm = range(0, x.rank());
  std::swap(perm[perm.size() - 2], perm.back());
  return transpose(x, std::move(perm));
}

void fused_matmul(OpContext& c) {
  if (c.attr_int("transBatchA", 0) != 0 || c.attr_int("transBatchB", 0) != 0)
    c.unsupported("transBatchA and transBatchB");
  const Expr a = c.attr_int("transA", 0) != 0 ? last_two_swapped(c.expr(0)) : c.expr(0);
  const Expr b = c.attr_int("transB", 0) != 0 ? last_two_swapped(c.expr(1)) : c.expr(1);
  c.out(numpy_matmul(a, b, c.dtype(0)) * c.attr_float("alpha", 1));
}

// Outputs: the result, mean, 1 / deviation, and the sum that was normalised.
void skip_layer_norm(OpContext& c) {
  Expr sum = c.expr(0) + c.expr(1);
  if (c.has(4)) sum = sum + c.expr(4);
  const double epsilon = c.attr_float("epsilon", 1e-12);
  const auto [standard, mean, inverse] = standardised(widened(sum), {sum.rank() - 1}, epsilon);
  Expr y = cast(standard, sum.dtype()) * c.expr(2);
  if (c.has(3)) y = y + c.expr(3);
  c.out(y);
  if (c.wants(1)) c.out(1, mean);
  if (c.wants(2)) c.out(2, inverse);
  if (c.wants(3)) c.out(3, sum);
}

constexpr OpRow kRows[] = {
    {"BiasGelu", 1, bias_gelu},       {"FastGelu", 1, fast_gelu},
    {"FusedMatMul", 1, fused_matmul}, {"Gelu", 1, unary<exact_gelu>},
    {"QuickGelu", 1, quick_gelu},     {"SkipLayerNormalization", 1, skip_layer_norm},
};

}  // namespace

std::span<const OpRow> microsoft_rows() { return kRows; }

}  // namespace lathe::onnx
