// Keras' layer classes: one row each, from options to a call of the network.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "frontend/keras/options.h"

namespace lathe {

struct KerasLayerArgs {
  nn::Network& net;
  KerasOptions& options;
  const std::vector<Expr>& inputs;
  const std::vector<double>& numbers;  // plain numbers among the arguments of the call

  const Expr& x() const { return inputs[0]; }
};

struct KerasLayerClass {
  std::string_view name;
  Expr (*build)(const KerasLayerArgs& args);
  bool many_inputs = false;  // else exactly one
};

// Families of classes, each in a file of its own.
std::span<const KerasLayerClass> keras_basic_layers();
std::span<const KerasLayerClass> keras_recurrent_layers();
std::span<const KerasLayerClass> keras_spatial_layers();

// One call of a layer. Unsupported where the class is unknown, naming the layer, class and file.
Expr build_keras_layer(nn::Network& net, const KerasLayer& layer, const KerasConfig& config,
                       const std::vector<Expr>& inputs, const std::vector<double>& numbers);

}  // namespace lathe
