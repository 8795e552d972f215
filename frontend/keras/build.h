// From a parsed configuration to a network.
#pragma once

#include "frontend/keras/config.h"
#include "frontend/keras/weights.h"
#include "frontend/nn.h"

namespace lathe {

struct KerasOutputs {
  std::vector<Expr> values;
  std::vector<std::string> names;
};

// Adds all of the configuration's layers to `net`.
KerasOutputs build_keras_network(nn::Network& net, const KerasConfig& config);

// Gives the network's weights the values in the file, layer by layer in Keras' order. User error
// naming the layer where number or shapes differ.
void set_keras_weights(nn::Network& net, const KerasConfig& config, const KerasFile& file);

}  // namespace lathe
