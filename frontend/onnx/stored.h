// Casts to any element type as graph formulas, those that are only stored included: their carriers
// are rounded to the values, or wrapped to the bits, that the type has.
#pragma once

#include "frontend/onnx/types.h"
#include "ir/expr.h"

namespace lathe::onnx {

// As convert() has it for contents. `to` is not String.
Expr cast_to_elem(const Expr& x, ElemType to, const CastRules& rules = {});

// The least and the largest value of an integer type, stored-only ones included.
int64_t lowest_of(ElemType t);
int64_t largest_of(ElemType t);

}  // namespace lathe::onnx
