// Keras models into models of ours: from .keras and .h5 files and from the JSON of a configuration.
#pragma once

#include <optional>
#include <string>

#include "frontend/losses.h"
#include "frontend/nn.h"
#include "ir/optimizer.h"

namespace lathe {

// The model in the file; its weights are the file's, or initial ones from `seed` if it has none.
//
// The batch dimension is the symbol `batch`, even where the configuration fixes it (no layer that
// is supported depends on it); a free second dimension is `length`, those of images `height` and
// `width`. An input that only Embedding layers read is i32 whatever the configuration says. Inputs,
// outputs and weights are named after their layers. In Mode::Inference regularizers, compile
// settings and dropout do not matter; in Mode::Training what cannot be obeyed is refused.
//
// User errors name the file, the layer and what was expected; classes and options that are not
// known are unsupported, by name.
Model load_keras(const std::string& path, nn::Mode mode, uint64_t seed = 0);

// The same for the text of a configuration; `file` opens every message.
Model build_keras(std::string_view config_json, const std::string& file, nn::Mode mode,
                  uint64_t seed = 0);

// What the file's compile() said.
struct KerasTraining {
  Optimizer optimizer;
  double learning_rate = 1e-3;
  Objective objective;
};
// Absent where the file does not say. Settings that are not known are unsupported.
std::optional<KerasTraining> keras_training(const std::string& path);
std::optional<KerasTraining> parse_keras_training(std::string_view config_json,
                                                  const std::string& file);

}  // namespace lathe
