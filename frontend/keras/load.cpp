#include "frontend/keras/load.h"

#include "frontend/keras/build.h"

namespace lathe {

Model load_keras(const std::string& path, nn::Mode mode, uint64_t seed) {
  const KerasFile file = read_keras_file(path);
  if (file.config_json.empty())
    fail("{}: the file holds weights, but no model configuration", path);
  const KerasConfig config = parse_keras_config(file.config_json, path);
  nn::Network net(config.name, mode, seed);
  const KerasOutputs outputs = build_keras_network(net, config);
  if (file.layout != KerasLayout::none) set_keras_weights(net, config, file);
  return net.finish(outputs.values, outputs.names);
}

Model build_keras(std::string_view config_json, const std::string& file, nn::Mode mode,
                  uint64_t seed) {
  const KerasConfig config = parse_keras_config(config_json, file);
  nn::Network net(config.name, mode, seed);
  const KerasOutputs outputs = build_keras_network(net, config);
  return net.finish(outputs.values, outputs.names);
}

std::optional<KerasTraining> keras_training(const std::string& path) {
  return parse_keras_training(read_keras_file(path).config_json, path);
}

}  // namespace lathe
