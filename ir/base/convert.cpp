#include "ir/base/convert.h"

namespace lathe {

Tensor converted(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype) return t;
  Tensor out = Tensor::empty(dtype, t.dims());
  for (int64_t i = 0; i < t.size(); ++i) out.set(i, t.at(i));
  return out;
}

}  // namespace lathe
