// A product's right factor in panels of columns, as register tiles read it: made once, ahead of a
// loop that multiplies by it again and again and would pack it each time.
#pragma once

#include "ir/expr.h"

namespace lathe {

// Columns of a panel: what a register tile covers, as in passes/pack_constants.cpp.
inline constexpr int64_t kPanelColumns = 32;

// Whether the right factor of a product of this type and attributes has one axis of columns, whole
// panels long.
bool fits_panels(const TensorType& factor, const DotAttrs& a);

// [batches.., panels, contracted.., columns of a panel]
Expr in_panels(const Expr& factor, const DotAttrs& a);

// dot_general(lhs, factor, a) with in_panels(factor, a), or of some of its panels.
Expr product_of_panels(const Expr& lhs, const Expr& panels, const DotAttrs& a);

}  // namespace lathe
