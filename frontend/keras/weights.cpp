#include "frontend/keras/weights.h"

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "frontend/keras/hdf5.h"
#include "frontend/keras/layer_path.h"
#include "runtime/files.h"
#include "runtime/isolate.h"
#include "runtime/json.h"
#include "runtime/safetensors.h"
#include "runtime/zip_archive.h"

namespace lathe {
namespace {

// The order of Keras within a layer; see KerasLayerWeights. Numbers compare by value.
using ComponentKey = std::tuple<int, size_t, std::string_view>;

ComponentKey component_key(std::string_view component) {
  const int rank = component == "vars" ? 0 : component == "forward_layer" ? 1 : 2;
  return {rank, is_digits(component) ? component.size() : 0, component};
}

std::vector<ComponentKey> path_key(std::string_view path) {
  std::vector<ComponentKey> key;
  while (true) {
    const size_t slash = path.find('/');
    key.push_back(component_key(path.substr(0, slash)));
    if (slash == std::string_view::npos) return key;
    path.remove_prefix(slash + 1);
  }
}

bool is_random_state(std::string_view path) {
  return path.starts_with("seed_generator/") || path.find("/seed_generator/") != path.npos;
}

void sort_weights(std::vector<KerasLayerWeights>& layers) {
  for (KerasLayerWeights& layer : layers)
    std::ranges::sort(layer.weights, std::less{},
                      [](const NamedTensor& w) { return path_key(w.name); });
}

std::vector<KerasLayerWeights> read_class_layout(Hdf5File& h5, std::string_view prefix) {
  std::map<std::string, KerasLayerWeights> layers;
  for (const std::string& path : h5.datasets()) {
    const auto split = split_layer_path(std::string_view(path).substr(1), prefix);
    if (!split || is_random_state(split->weight)) continue;
    KerasLayerWeights& layer = layers[split->layer];
    layer.layer_name = split->layer;
    layer.weights.push_back({split->weight, h5.read(path)});
  }
  std::vector<KerasLayerWeights> out;
  for (auto& [name, layer] : layers) out.push_back(std::move(layer));
  sort_weights(out);
  return out;
}

// Keras splits a list that exceeds HDF5's limit for one attribute into `name0`, `name1`, ...
std::vector<std::string> read_names(const Hdf5File& h5, const std::string& group,
                                    const std::string& attribute, const std::string& place) {
  if (auto names = h5.strings(group, attribute)) return *names;
  std::vector<std::string> names;
  for (int part = 0;; ++part) {
    const auto more = h5.strings(group, attribute + std::to_string(part));
    if (!more && part == 0)
      fail("{}: HDF5 group {} has no attribute {}", place, quote_text(group), attribute);
    if (!more) return names;
    names.insert(names.end(), more->begin(), more->end());
  }
}

std::vector<KerasLayerWeights> read_legacy_layout(Hdf5File& h5, const std::string& root,
                                                  const std::string& place) {
  std::vector<KerasLayerWeights> layers;
  std::set<std::string> seen;
  for (const std::string& name : read_names(h5, root, "layer_names", place)) {
    const std::string group = fmt::format("{}/{}", root == "/" ? "" : root, name);
    if (!h5.groups().contains(group) || !seen.insert(name).second)
      fail("{}: layer_names lists {}, {}", place, quote_text(name),
           seen.contains(name) ? "twice" : "but the file has no such group");
    KerasLayerWeights layer{name, {}};
    for (const std::string& weight : read_names(h5, group, "weight_names", place)) {
      const std::string path = group + "/" + weight;
      if (!h5.datasets().contains(path) || !seen.insert(path).second)
        fail("{}: layer {} lists the weight {}, {}", place, quote_text(name), quote_text(weight),
             seen.contains(path) ? "twice" : "but the file has no such dataset");
      layer.weights.push_back({weight, h5.read(path)});
    }
    layers.push_back(std::move(layer));
  }
  return layers;
}

void read_weights(Hdf5File& h5, KerasFile& file, const std::string& place) {
  const auto has_group = [&](std::string_view prefix) {
    return h5.groups().contains(fmt::format("/{}", prefix.substr(0, prefix.size() - 1)));
  };
  const auto has_names = [&](const std::string& group) {
    return h5.groups().contains(group) &&
           (h5.strings(group, "layer_names") || h5.strings(group, "layer_names0"));
  };
  if (has_names("/model_weights") || has_names("/")) {
    file.layout = KerasLayout::by_name;
    file.layers =
        read_legacy_layout(h5, has_names("/model_weights") ? "/model_weights" : "/", place);
  } else if (has_group(kByClassPrefix)) {
    file.layout = KerasLayout::by_class;
    file.layers = read_class_layout(h5, kByClassPrefix);
  } else if (has_group(kByPositionPrefix)) {
    file.layout = KerasLayout::by_position;
    file.layers = read_class_layout(h5, kByPositionPrefix);
  } else {
    fail("{}: no Keras weights: expected layer_names in / or /model_weights, or a group /layers",
         place);
  }
}

KerasFile read_archive(const MappedFile& mapped) {
  constexpr const char* kConfig = "config.json";
  constexpr const char* kWeights = "model.weights.h5";
  const std::string& path = mapped.path();
  ZipReader archive(mapped.bytes(), path);
  for (const char* needed : {kConfig, kWeights})
    if (!archive.contains(needed))
      fail("{}: a .keras file must contain {}; it has {} entries, none of that name", path, needed,
           archive.names().size());
  const Bytes config = archive.read(kConfig);
  KerasFile file{.path = path,
                 .config_json = {reinterpret_cast<const char*>(config.data()), config.size()},
                 .layout = KerasLayout::none,
                 .layers = {}};
  const Bytes weights = archive.read(kWeights);
  const std::string place = fmt::format("{}: entry {}", path, kWeights);
  read_weights(*open_hdf5(weights, place), file, place);
  return file;
}

KerasFile read_hdf5(const MappedFile& mapped) {
  KerasFile file{
      .path = mapped.path(), .config_json = {}, .layout = KerasLayout::none, .layers = {}};
  const auto h5 = open_hdf5(mapped.bytes(), mapped.path());
  file.config_json = h5->string("/", "model_config").value_or("");
  read_weights(*h5, file, mapped.path());
  return file;
}

// The way of a KerasFile from the process that reads it to the one that asked: a safetensors file
// in memory. Tensors are named "<layer>:<weight>:<name>", the first two by index.
constexpr const char* kConfigKey = "config";
constexpr const char* kLayoutKey = "layout";

std::string layer_key(size_t index) { return "layer " + std::to_string(index); }

void send(const KerasFile& file, FileWriter& out) {
  std::map<std::string, std::string> metadata{
      {kConfigKey, file.config_json}, {kLayoutKey, std::to_string(static_cast<int>(file.layout))}};
  std::vector<NamedTensor> tensors;
  for (size_t i = 0; i < file.layers.size(); ++i) {
    const auto& [layer_name, weights] = file.layers[i];
    metadata[layer_key(i)] = layer_name;
    for (size_t k = 0; k < weights.size(); ++k)
      tensors.push_back({fmt::format("{}:{}:{}", i, k, weights[k].name), weights[k].tensor});
  }
  write_safetensors(out, tensors, metadata);
}

KerasFile receive(const IsolatedResult& result, const std::string& path) {
  SafetensorsFile content = parse_safetensors(result.bytes, result.owner, path);
  KerasFile file{.path = path,
                 .config_json = std::move(content.metadata.at(kConfigKey)),
                 .layout = static_cast<KerasLayout>(std::stoi(content.metadata.at(kLayoutKey))),
                 .layers = {}};
  for (size_t i = 0; content.metadata.contains(layer_key(i)); ++i)
    file.layers.push_back({std::move(content.metadata[layer_key(i)]), {}});
  std::map<std::pair<size_t, size_t>, NamedTensor> ordered;
  for (NamedTensor& t : content.tensors) {
    const size_t first = t.name.find(':');
    const size_t second = t.name.find(':', first + 1);
    const size_t layer = std::stoul(t.name);
    const size_t index = std::stoul(t.name.substr(first + 1));
    ordered[{layer, index}] = {t.name.substr(second + 1), std::move(t.tensor)};
  }
  for (auto& [position, weight] : ordered)
    file.layers.at(position.first).weights.push_back(std::move(weight));
  return file;
}

KerasFile read_isolated(const MappedFile& mapped, KerasFile (*read)(const MappedFile&)) {
  const size_t size = mapped.bytes().size();
  const IsolationLimits limits{.cpu_seconds = 1 + static_cast<unsigned>(size >> 24),
                               .memory_bytes = (int64_t{5} << 30) + 2 * static_cast<int64_t>(size)};
  const auto result =
      run_isolated(mapped.path(), limits, [&](FileWriter& out) { send(read(mapped), out); });
  try {
    return receive(result, mapped.path());
  } catch (const std::logic_error& error) {  // of at() and stoul(): the child had lost its mind
    fail("{}: the file is damaged: {}", mapped.path(), error.what());
  }
}

}  // namespace

KerasFile read_keras_file(const std::string& path) {
  const auto mapped = MappedFile::open(path);
  const std::string_view text = mapped->text();
  // The HDF5 library can be crashed or sent into an endless loop by a damaged file, so this process
  // is not the one that runs it.
  if (text.starts_with("PK")) return read_isolated(*mapped, read_archive);
  if (text.starts_with("\x89HDF")) return read_isolated(*mapped, read_hdf5);
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != text.npos && text[first] == '{')
    return {
        .path = path, .config_json = std::string(text), .layout = KerasLayout::none, .layers = {}};
  fail("{}: not a Keras model: expected a .keras archive, an HDF5 file or a JSON object{}", path,
       text.empty() ? ", the file is empty" : "");
}

}  // namespace lathe
