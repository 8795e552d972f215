#include "passes/column_panels.h"

#include <algorithm>

namespace lathe {
namespace {

Dims counting(int64_t from, size_t count) {
  Dims out(count);
  for (size_t i = 0; i < count; ++i) out[i] = from + static_cast<int64_t>(i);
  return out;
}

// The factor's only axis that is neither a batch nor contracted.
int64_t columns_of(int rank, const DotAttrs& a) {
  int64_t axis = 0;
  const auto named = [&](const Dims& axes) { return std::ranges::find(axes, axis) != axes.end(); };
  while (axis < rank && (named(a.rhs_batch) || named(a.rhs_contract))) ++axis;
  return axis;
}

}  // namespace

bool fits_panels(const TensorType& factor, const DotAttrs& a) {
  const size_t others = a.rhs_batch.size() + a.rhs_contract.size();
  if (a.rhs_contract.empty() || static_cast<size_t>(factor.rank()) != others + 1) return false;
  return factor.shape[static_cast<int>(columns_of(factor.rank(), a))].value() % kPanelColumns == 0;
}

Expr in_panels(const Expr& factor, const DotAttrs& a) {
  const int64_t columns = columns_of(factor.rank(), a);
  Dims dims = factor.shape().static_dims();
  dims[static_cast<size_t>(columns)] /= kPanelColumns;
  dims.insert(dims.begin() + columns + 1, kPanelColumns);
  const auto after = [&](int64_t axis) { return axis > columns ? axis + 1 : axis; };
  Dims perm;
  for (const int64_t axis : a.rhs_batch) perm.push_back(after(axis));
  perm.push_back(columns);
  for (const int64_t axis : a.rhs_contract) perm.push_back(after(axis));
  perm.push_back(columns + 1);
  return transpose(reshape(factor, Shape(dims)), std::move(perm));
}

Expr product_of_panels(const Expr& lhs, const Expr& panels, const DotAttrs& a) {
  DotAttrs of_panels = a;
  of_panels.rhs_batch = counting(0, a.rhs_batch.size());
  of_panels.rhs_contract = counting(std::ssize(a.rhs_batch) + 1, a.rhs_contract.size());
  const Expr out = dot_general(lhs, panels, std::move(of_panels));
  Dims dims = out.shape().static_dims();
  dims.pop_back();
  dims.back() *= kPanelColumns;
  return reshape(out, Shape(dims));
}

}  // namespace lathe
