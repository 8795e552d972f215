// Depthwise convolutions as kernels, channels last.
#pragma once

#include "ir/kernel.h"

namespace lathe {

struct DepthwiseShape {
  int64_t height, width, channels;
  int64_t window = 3, stride = 1;  // padded by half of the window
  int epilogue = 1;                // steps of arithmetic after max(sum + bias, 0)
};

// Operands: image, weights [window, window, channels], bias, result. Parallel ivs row, column,
// channel; reduction ivs row and column of the window.
Kernel depthwise_kernel(const DepthwiseShape& shape);

}  // namespace lathe
