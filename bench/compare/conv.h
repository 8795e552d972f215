// Convolution layers y = max(conv(x, w) + bias, 0), as each engine is asked for them: one program
// an engine, all with the same layers, values, check and clock (conv.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace lathe::compare {

// Of one image, square, padded by half of the window.
struct ConvLayer {
  const char* net;
  int64_t channels, filters, size, window, stride;
  bool depthwise = false;
  bool relu = true;
  int times = 1;  // that the net has it

  int64_t result_size() const { return (size - 1) / stride + 1; }
  int64_t padding() const { return window / 2; }
  int64_t channels_each() const { return depthwise ? 1 : channels; }  // of a filter
  // A net's first layer reads an image, channels first.
  bool reads_image() const { return channels == 3; }
  bool operator==(const ConvLayer&) const = default;
};

// Every convolution of ResNet-50 and MobileNetV2 (those of ../shared/anchors), equal ones once.
std::vector<ConvLayer> conv_layers();

// x [channels, size, size] or, where not reads_image(), [size, size, channels]; weights [filters,
// channels_each, window, window]; y [result_size, result_size, filters].
struct Conv {
  ConvLayer layer;
  const float *x, *weights, *bias;
  float* y;
};

// The call that is timed, and how to have y as above after it: an engine may keep activations and
// weights in formats of its own.
struct PreparedConv {
  std::function<void()> call, fetch;
};

// What each engine's file defines.
PreparedConv prepare_conv(const Conv& conv, int threads);

}  // namespace lathe::compare
