// What the view records share.
#pragma once

#include "ir/eval.h"
#include "ir/lowering.h"
#include "ir/op.h"
#include "ir/vjp.h"

namespace lathe::view {

// Result element (i0, i1, ..) is operand element start + i0*strides[0] + i1*strides[1] + ..
struct Affine {
  int64_t start = 0;
  Dims strides;
};

// Evaluates a view of operand 0; `map` gives the Affine from the operand's row-major strides.
template <class F>
void eval_affine(Evaluation& e, F&& map) {
  const Affine from = map(row_major_strides(e.in(0).dims));
  int64_t to = 0;
  for_each_index(e.out().dims, [&](const Dims& at) {
    int64_t offset = from.start;
    for (size_t i = 0; i < at.size(); ++i) offset += at[i] * from.strides[i];
    e.out().copy_element(to++, e.in(0), offset);
  });
}

// The affine index of an axis. Data-dependent parts only reach loads, never a view inside a kernel.
inline const IndexExpr& affine(const AxisIndex& index) {
  LATHE_ASSERT(index.indirect.empty());
  return index.expr;
}

}  // namespace lathe::view
