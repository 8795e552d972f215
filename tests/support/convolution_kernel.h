// Convolutions as kernels, their results channels last. Windows are padded by half of their size.
#pragma once

#include "ir/kernel.h"

namespace lathe {

// Operands: image, channels last; weights [window, window, channels]; bias; result. Parallel ivs
// row, column, channel; reduction ivs row and column of the window.
struct DepthwiseShape {
  int64_t height, width, channels;
  int64_t window = 3, stride = 1;
  int epilogue = 1;  // steps of arithmetic after max(sum + bias, 0)
};
Kernel depthwise_kernel(const DepthwiseShape& shape);

// Operands: square image, channels first; weights [channels, window, window, filters]; bias;
// result. Parallel ivs row, column, filter; reduction ivs channel, row and column of the window,
// or the channel last where the image has it last.
struct ImageShape {
  int64_t channels, size, filters;
  int64_t window = 3, stride = 1;
  bool channels_last = false;
};
Kernel image_kernel(const ImageShape& shape);

}  // namespace lathe
