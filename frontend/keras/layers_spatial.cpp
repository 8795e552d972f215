#include "frontend/keras/layers.h"

namespace lathe {
namespace {

Expr build_conv2d(const KerasLayerArgs& a) {
  KerasOptions& o = a.options;
  return a.net.conv2d(a.x(), o.integer("filters"), o.pair("kernel_size"),
                      {.strides = o.pair("strides", {{1, 1}}),
                       .padding = o.padding(),
                       .layout = o.layout(),
                       .dilation = o.pair("dilation_rate", {{1, 1}}),
                       .groups = o.integer("groups", 1),
                       .activation = o.activation("activation", nn::Activation::Linear),
                       .use_bias = o.flag("use_bias", true),
                       .kernel = o.initializer("kernel_initializer", init::glorot_uniform()),
                       .bias = o.initializer("bias_initializer", init::zeros()),
                       .trainable = o.trainable(),
                       .name = o.name()});
}

nn::PoolOptions pool_options(KerasOptions& o) {
  const std::array<int64_t, 2> size = o.pair("pool_size", {{2, 2}});
  return {.size = size,
          .strides = o.pair("strides", size),
          .padding = o.padding(),
          .layout = o.layout(),
          .name = o.name()};
}

Expr build_max_pooling(const KerasLayerArgs& a) {
  return a.net.max_pooling_2d(a.x(), pool_options(a.options));
}

Expr build_average_pooling(const KerasLayerArgs& a) {
  return a.net.average_pooling_2d(a.x(), pool_options(a.options));
}

// `axes` between batch and channels.
nn::GlobalPoolOptions global_options(const KerasLayerArgs& a, int axes) {
  if (a.x().rank() != axes + 2)
    fail("{}: the input is {}, {} axes were expected", a.options.place(), a.x().type().text(),
         axes + 2);
  return {.layout = a.options.layout(),
          .keep_dims = a.options.flag("keepdims", false),
          .name = a.options.name()};
}

template <int axes>
Expr build_global_max(const KerasLayerArgs& a) {
  return a.net.global_max_pooling(a.x(), global_options(a, axes));
}

template <int axes>
Expr build_global_average(const KerasLayerArgs& a) {
  return a.net.global_average_pooling(a.x(), global_options(a, axes));
}

constexpr KerasLayerClass kSpatial[] = {
    {"Conv2D", build_conv2d},
    {"MaxPooling2D", build_max_pooling},
    {"AveragePooling2D", build_average_pooling},
    {"GlobalMaxPooling1D", build_global_max<1>},
    {"GlobalMaxPooling2D", build_global_max<2>},
    {"GlobalAveragePooling1D", build_global_average<1>},
    {"GlobalAveragePooling2D", build_global_average<2>},
};

}  // namespace

std::span<const KerasLayerClass> keras_spatial_layers() { return kSpatial; }

}  // namespace lathe
