#include "passes/column_panels.h"

#include "ir/axes.h"

namespace lathe {

bool fits_panels(const TensorType& factor, const DotAttrs& a) {
  const Dims columns = free_axes(factor.rank(), a.rhs_batch, a.rhs_contract);
  return !a.rhs_contract.empty() && columns.size() == 1 &&
         factor.shape[static_cast<int>(columns[0])].value() % kPanelColumns == 0;
}

Expr in_panels(const Expr& factor, const DotAttrs& a) {
  const int64_t columns = free_axes(factor.rank(), a.rhs_batch, a.rhs_contract)[0];
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
