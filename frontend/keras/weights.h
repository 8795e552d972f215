// The weights of a Keras model and the text of its configuration, from every kind of file Keras
// has written: `.keras` (a zip of config.json and model.weights.h5), `.h5` with or without the
// configuration (`model_weights/<layer>/...` or the layout of model.weights.h5), and `.json`.
//
// Two ways of finding a layer's weights exist. Legacy `.h5` files name layers. Keras 3 does not
// trust names: under `layers/` it counts classes, so the second LSTM of a model is `lstm_1`
// whatever it is called. match_weights() hides the difference.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/named_tensor.h"

namespace lathe {

// Names are paths below the layer's group. Class layout: "vars/0", "cell/vars/2",
// "forward_layer/cell/vars/0": a layer's own variables first and by number, then its parts by
// name, forward before backward. Legacy layout: as the layer lists them ("dense/kernel:0"), which
// is Keras' order. States of random generators are left out: they are no weights.
struct KerasLayerWeights {
  std::string layer_name;
  std::vector<NamedTensor> weights;
};

enum class KerasLayout {
  none,         // no weights in the file
  by_class,     // Keras 3: `layers/<class>_<n>`, n counting all layers of the class
  by_position,  // TF 2.12: `_layer_checkpoint_dependencies/<class>_<n>`, n with gaps
  by_name,      // legacy .h5
};

struct KerasFile {
  std::string path;         // for messages
  std::string config_json;  // empty in a file of weights alone
  KerasLayout layout = KerasLayout::none;
  std::vector<KerasLayerWeights> layers;  // named as in the file; not all have weights
};

// What the file is follows from its content, not its name. The configuration's text is not looked
// into. User errors name the file, the place in it and what was expected; weights take at most
// 4 GiB in all, and no more than what the file's own bytes can hold.
KerasFile read_keras_file(const std::string& path);

struct KerasLayerId {
  std::string name;        // "embedding_7"
  std::string class_name;  // "Embedding"
};

// One entry for each of the configuration's layers, in its order and under its names; layers
// without weights, and all of a file without any, have an empty list. Weights that belong to no
// layer are a user error.
std::vector<KerasLayerWeights> match_weights(const std::vector<KerasLayerId>& layers,
                                             const KerasFile& file);

// The weights of a layer that is itself a model, ready for match_weights with that model's layers.
KerasFile nested_weights(const KerasFile& file, const KerasLayerWeights& layer);

// A class name as Keras spells it in weight files: "GlobalMaxPooling1D" -> "global_max_pooling1d".
std::string keras_snake_case(std::string_view class_name);

}  // namespace lathe
