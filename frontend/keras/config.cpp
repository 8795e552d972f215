#include "frontend/keras/config.h"

#include <set>

#include "frontend/keras/inbound.h"
#include "ir/base/error.h"
#include "runtime/json.h"

namespace lathe {
namespace {

using nlohmann::json;

KerasLayer parse_layer(const json& j, const std::string& place) {
  KerasLayer layer;
  json_object(j, place);
  layer.class_name = json_text(json_member(j, "class_name", place), place + ": class_name");
  layer.config = json_object(json_member(j, "config", place), place + ": config");
  // The functional form names layers beside the configuration too.
  const json& named = j.contains("name") && j["name"].is_string() ? j : layer.config;
  layer.name = json_text(json_member(named, "name", place), place + ": name");
  return layer;
}

void check_unique(const KerasConfig& config) {
  std::set<std::string> names;
  for (const KerasLayer& layer : config.layers) {
    if (layer.name.empty()) fail("{}: a layer has an empty name", config.file);
    if (!names.insert(layer.name).second)
      fail("{}: two layers are called {}", config.file, quote_text(layer.name));
  }
}

// The shape that a Sequential model's first layer carries, or the model as a whole.
const json* sequential_shape(const json& model_config, const KerasLayer& first) {
  for (const char* key : {"batch_input_shape", "batch_shape"})
    if (first.config.contains(key)) return &first.config[key];
  if (model_config.is_object() && model_config.contains("build_input_shape"))
    return &model_config["build_input_shape"];
  return nullptr;
}

void parse_sequential(const json& j, KerasConfig& config) {
  const std::string place = config.file + ": model";
  const json& body = json_member(j, "config", place);
  const json& layers = body.is_array() ? body : json_member(body, "layers", place + ".config");
  for (const json& layer : json_array(layers, place + ".config.layers"))
    config.layers.push_back(
        parse_layer(layer, fmt::format("{}.config.layers[{}]", place, config.layers.size())));
  if (config.layers.empty()) fail("{} has no layers", place);
  if (config.layers[0].class_name != "InputLayer") {
    const KerasLayer& first = config.layers[0];
    const json* shape = sequential_shape(body, first);
    if (shape == nullptr || shape->is_null())
      fail(
          "{}: the model has no input shape; an InputLayer, or batch_input_shape in the first "
          "layer "
          "({}), was expected",
          config.file, quote_text(first.name));
    KerasLayer input{first.name + "_input", "InputLayer", {}, {}};
    input.config = {{"name", input.name}, {"batch_shape", *shape}};
    config.layers.insert(config.layers.begin(), std::move(input));
  }
  for (size_t i = 1; i < config.layers.size(); ++i)
    config.layers[i].calls.push_back({{{config.layers[i - 1].name, 0, 0}}, std::nullopt, {}});
  config.outputs = {{config.layers.back().name, 0, 0}};
}

void parse_functional(const json& j, KerasConfig& config) {
  const std::string place = config.file + ": model.config";
  const json& body = json_object(json_member(j, "config", config.file + ": model"), place);
  for (const json& entry : json_array(json_member(body, "layers", place), place + ".layers")) {
    const std::string at = fmt::format("{}.layers[{}]", place, config.layers.size());
    config.layers.push_back(parse_layer(entry, at));
    KerasLayer& layer = config.layers.back();
    const std::string where = fmt::format("{}: layer {}", config.file, quote_text(layer.name));
    if (entry.contains("inbound_nodes"))
      layer.calls = parse_inbound_nodes(entry["inbound_nodes"], where);
  }
  config.outputs =
      parse_tensor_list(json_member(body, "output_layers", place), place + ".output_layers");
  if (config.outputs.empty()) fail("{}.output_layers is empty", place);
}

}  // namespace

std::string json_excerpt(const json& value) {
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

const json& json_member(const json& object, const char* key, const std::string& place) {
  json_object(object, place);
  const auto it = object.find(key);
  if (it == object.end()) fail("{}: \"{}\" is missing", place, key);
  return *it;
}

std::string json_text(const json& value, const std::string& place) {
  if (!value.is_string()) fail("{} is {}, a string was expected", place, json_excerpt(value));
  return value.get<std::string>();
}

int64_t json_integer(const json& value, const std::string& place) {
  const bool fits = value.is_number_integer() &&
                    (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
  if (!fits) fail("{} is {}, an integer was expected", place, json_excerpt(value));
  return value.get<int64_t>();
}

const json& json_array(const json& value, const std::string& place) {
  if (!value.is_array()) fail("{} is {}, a list was expected", place, json_excerpt(value));
  return value;
}

const json& json_object(const json& value, const std::string& place) {
  if (!value.is_object()) fail("{} is {}, an object was expected", place, json_excerpt(value));
  return value;
}

KerasConfig parse_keras_config(std::string_view text, const std::string& file) {
  const json j = parse_json(text, file);
  const std::string place = file + ": model";
  const std::string kind = json_text(json_member(j, "class_name", place), place + ".class_name");
  KerasConfig config{.file = file,
                     .name = "model",
                     .keras_3 = j.contains("module") || j.contains("registered_name"),
                     .layers = {},
                     .outputs = {},
                     .compile_config = {}};
  const json& body = json_member(j, "config", place);
  if (body.is_object() && body.contains("name") && body["name"].is_string())
    config.name = body["name"].get<std::string>();
  if (kind == "Sequential") parse_sequential(j, config);
  else if (kind == "Functional" || kind == "Model") parse_functional(j, config);
  else
    fail_unsupported("{}: models of class {}; Sequential and Functional are known", file,
                     quote_text(kind));
  check_unique(config);
  if (j.contains("compile_config")) config.compile_config = j["compile_config"];
  return config;
}

}  // namespace lathe
