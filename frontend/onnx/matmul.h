// The product of np.matmul, which MatMul and its quantised relatives share.
#pragma once

#include "ir/expr.h"

namespace lathe::onnx {

// `result`: the dtype of the result and of the sums.
Expr numpy_matmul(const Expr& a, const Expr& b, DType result);

}  // namespace lathe::onnx
