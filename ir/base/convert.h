// Contents of tensors in another element type.
#pragma once

#include "ir/base/tensor.h"

namespace lathe {

// t with elements of `dtype`, each as Tensor::set converts the double that Tensor::at gives; t
// itself where it has them already.
Tensor converted(const Tensor& t, DType dtype);

}  // namespace lathe
