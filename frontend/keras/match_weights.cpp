#include <map>
#include <optional>

#include "frontend/keras/layer_path.h"
#include "frontend/keras/weights.h"
#include "runtime/json.h"

namespace lathe {
namespace {

// Layers of one class, in order: the base name, then `_1`, `_2`, ...
struct ClassGroups {
  std::map<size_t, const KerasLayerWeights*> by_number;
};

std::map<std::string, ClassGroups> group_by_class(const std::vector<KerasLayerId>& layers,
                                                  const KerasFile& file) {
  std::map<std::string, ClassGroups> classes;
  for (const KerasLayerId& layer : layers) classes[keras_snake_case(layer.class_name)];
  for (const KerasLayerWeights& group : file.layers) {
    const std::string& name = group.layer_name;
    const size_t underscore = name.rfind('_');
    const std::string number = underscore == name.npos ? "" : name.substr(underscore + 1);
    if (const auto it = classes.find(name); it != classes.end()) it->second.by_number[0] = &group;
    else if (const auto base = classes.find(name.substr(0, underscore));
             base != classes.end() && is_digits(number) && number.size() < 10 && number[0] != '0')
      base->second.by_number[std::stoul(number)] = &group;
    else
      fail("{}: the weights of {} belong to none of the configuration's layers", file.path,
           quote_text(name));
  }
  return classes;
}

// TF 2.12 counted each layer that has weights twice, so its numbers have gaps, but their order is
// that of the layers.
void close_gaps(ClassGroups& groups) {
  std::map<size_t, const KerasLayerWeights*> dense;
  for (const auto& [number, group] : groups.by_number) dense[dense.size()] = group;
  groups.by_number = std::move(dense);
}

std::vector<KerasLayerWeights> match_by_class(const std::vector<KerasLayerId>& layers,
                                              const KerasFile& file) {
  auto classes = group_by_class(layers, file);
  if (file.layout == KerasLayout::by_position)
    for (auto& [name, groups] : classes) close_gaps(groups);
  std::map<std::string, size_t> next;
  std::vector<KerasLayerWeights> out;
  for (const KerasLayerId& layer : layers) {
    const std::string class_name = keras_snake_case(layer.class_name);
    const auto& groups = classes[class_name].by_number;
    const auto it = groups.find(next[class_name]++);
    out.push_back(
        {layer.name, it == groups.end() ? std::vector<NamedTensor>{} : it->second->weights});
  }
  for (const auto& [name, groups] : classes)
    if (!groups.by_number.empty() && groups.by_number.rbegin()->first >= next[name])
      fail("{}: weights of {} are stored, but the configuration has {} layers of that class",
           file.path, quote_text(groups.by_number.rbegin()->second->layer_name), next[name]);
  return out;
}

std::vector<KerasLayerWeights> match_by_name(const std::vector<KerasLayerId>& layers,
                                             const KerasFile& file) {
  std::map<std::string, const KerasLayerWeights*> stored;
  for (const KerasLayerWeights& layer : file.layers) stored[layer.layer_name] = &layer;
  std::vector<KerasLayerWeights> out;
  for (const KerasLayerId& layer : layers) {
    const auto it = stored.find(layer.name);
    out.push_back(
        {layer.name, it == stored.end() ? std::vector<NamedTensor>{} : it->second->weights});
    if (it != stored.end()) stored.erase(it);
  }
  for (const auto& [name, layer] : stored)
    if (!layer->weights.empty())
      fail("{}: the weights of layer {} belong to none of the configuration's layers", file.path,
           quote_text(name));
  return out;
}

}  // namespace

std::vector<KerasLayerWeights> match_weights(const std::vector<KerasLayerId>& layers,
                                             const KerasFile& file) {
  if (file.layout == KerasLayout::by_class || file.layout == KerasLayout::by_position)
    return match_by_class(layers, file);
  return match_by_name(layers, file);
}

KerasFile nested_weights(const KerasFile& file, const KerasLayerWeights& layer) {
  KerasFile nested{.path = fmt::format("{}: model {}", file.path, quote_text(layer.layer_name)),
                   .config_json = {},
                   .layout = file.layout,
                   .layers = {}};
  const std::string_view prefix = file.layout == KerasLayout::by_class      ? kByClassPrefix
                                  : file.layout == KerasLayout::by_position ? kByPositionPrefix
                                                                            : "";
  std::map<std::string, size_t> position;
  for (const NamedTensor& weight : layer.weights) {
    const auto split = split_layer_path(weight.name, prefix);
    if (!split)
      fail("{}: the weight {} belongs to none of its layers", nested.path, quote_text(weight.name));
    const auto [it, is_new] = position.try_emplace(split->layer, nested.layers.size());
    if (is_new) nested.layers.push_back({split->layer, {}});
    // Legacy weights keep their layer's name, as they do at the top.
    const std::string& name = prefix.empty() ? weight.name : split->weight;
    nested.layers[it->second].weights.push_back({name, weight.tensor});
  }
  return nested;
}

std::string keras_snake_case(std::string_view class_name) {
  const auto upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  std::string word;
  for (const char c : class_name)
    if (upper(c) || lower(c) || (c >= '0' && c <= '9') || c == '_') word += c;
  std::string out;
  for (size_t i = 0; i < word.size(); ++i) {
    const bool starts_word = i > 0 && upper(word[i]) &&
                             (lower(word[i - 1]) || (i + 1 < word.size() && lower(word[i + 1])));
    if (starts_word) out += '_';
    out += upper(word[i]) ? static_cast<char>(word[i] - 'A' + 'a') : word[i];
  }
  return out;
}

}  // namespace lathe
