// A tensor and the name it has in its file.
#pragma once

#include <string>

#include "ir/base/tensor.h"

namespace lathe {

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

}  // namespace lathe
