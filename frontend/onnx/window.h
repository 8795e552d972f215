// Convolution and pooling over any number of spatial axes: attributes to windows, and formulas that
// float and quantised ops share. Tensors are [batch, channels, spatial..].
#pragma once

#include "frontend/onnx/context.h"

namespace lathe::onnx {

struct Window {
  WindowAttrs attrs;  // over the spatial axes
  Dims sizes;         // of the input
  Dims positions;     // of the result
  // Padding that only ceil_mode adds: not counted by count_include_pad.
  Dims extra;
  int axes() const { return static_cast<int>(sizes.size()); }
  // The axes of the taps, and those of the positions, in windows(x).
  Dims taps() const;
};

// Attributes kernel_shape (or `kernel` where it is given), strides, dilations, pads, auto_pad and
// ceil_mode.
Window read_window(OpContext& c, const Dims& input, Dims kernel = {});

// An attribute with a value for each of n axes.
Dims list_attribute(OpContext& c, std::string_view name, int64_t missing, size_t n);
// Windows are not larger, further apart or more padded than this: values are in [low, 2^20).
void check_range(std::string_view name, const Dims& values, int64_t low);

// Attributes strides, dilations and pads of windows of `kernel` taps.
WindowAttrs read_steps(OpContext& c, Dims kernel);
// Attribute auto_pad.
std::string read_auto_pad(OpContext& c);

// w [M, C/groups, taps..] over x [N, C, ..]: [N, M, positions..], summed in `result`.
Expr convolve(const Expr& x, const Expr& w, const Window& window, int64_t groups, DType result);
// The same, of patches [N, C, positions.., taps..] over n axes.
Expr convolve_patches(const Expr& patches, const Expr& w, int64_t n, int64_t groups, DType result);

}  // namespace lathe::onnx
