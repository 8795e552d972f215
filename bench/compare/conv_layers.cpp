#include <algorithm>

#include "bench/compare/conv.h"

namespace lathe::compare {
namespace {

class Net {
 public:
  explicit Net(const char* name) : name_(name) {}

  // A layer on what the last one gave. `relu`: also where it comes after a sum with another branch.
  void conv(int64_t filters, int64_t window, int64_t stride, bool relu = true) {
    add({name_, channels_, filters, size_, window, stride, false, relu});
  }
  void depthwise(int64_t stride) {
    add({name_, channels_, channels_, size_, 3, stride, true, true});
  }
  // A layer beside those that follow.
  void branch(int64_t filters, int64_t stride) {
    const Net before = *this;
    conv(filters, 1, stride, false);
    channels_ = before.channels_, size_ = before.size_;
  }
  void halve() { size_ = (size_ + 1) / 2; }
  int64_t channels() const { return channels_; }
  const std::vector<ConvLayer>& layers() const { return layers_; }

 private:
  void add(const ConvLayer& layer) {
    const auto same = std::ranges::find_if(layers_, [&](ConvLayer other) {
      other.times = 1;
      return other == layer;
    });
    if (same == layers_.end()) layers_.push_back(layer);
    else ++same->times;
    channels_ = layer.filters, size_ = layer.result_size();
  }

  const char* name_;
  int64_t channels_ = 3, size_ = 224;
  std::vector<ConvLayer> layers_;
};

std::vector<ConvLayer> resnet50() {
  Net net("ResNet-50");
  net.conv(64, 7, 2);
  net.halve();
  struct Stage {
    int64_t middle;
    int blocks;
    int64_t stride;
  };
  for (const auto [middle, blocks, stride] :
       {Stage{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}})
    for (int k = 0; k < blocks; ++k) {
      if (k == 0) net.branch(4 * middle, stride);
      net.conv(middle, 1, 1);
      net.conv(middle, 3, k == 0 ? stride : 1);
      net.conv(4 * middle, 1, 1);
    }
  return net.layers();
}

std::vector<ConvLayer> mobilenetv2() {
  Net net("MobileNetV2");
  net.conv(32, 3, 2);
  struct Stage {
    int64_t expansion, filters;
    int blocks;
    int64_t stride;
  };
  for (const auto [expansion, filters, blocks, stride] : {Stage{1, 16, 1, 1},
                                                          {6, 24, 2, 2},
                                                          {6, 32, 3, 2},
                                                          {6, 64, 4, 2},
                                                          {6, 96, 3, 1},
                                                          {6, 160, 3, 2},
                                                          {6, 320, 1, 1}})
    for (int k = 0; k < blocks; ++k) {
      if (expansion > 1) net.conv(expansion * net.channels(), 1, 1);
      net.depthwise(k == 0 ? stride : 1);
      net.conv(filters, 1, 1, false);
    }
  net.conv(1280, 1, 1);
  return net.layers();
}

}  // namespace

std::vector<ConvLayer> conv_layers() {
  std::vector<ConvLayer> layers = resnet50();
  std::ranges::copy(mobilenetv2(), std::back_inserter(layers));
  return layers;
}

}  // namespace lathe::compare
