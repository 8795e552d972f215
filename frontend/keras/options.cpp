#include "frontend/keras/options.h"

#include <cmath>

#include "frontend/keras/weights.h"
#include "runtime/json.h"

namespace lathe {
namespace {

using nlohmann::json;

// The class and the options of something that Keras serialises as a name or as an object.
struct Serialized {
  std::string name;  // in snake case
  json config = json::object();
};

std::optional<Serialized> parse_serialized(const json& value) {
  if (value.is_string()) return Serialized{keras_snake_case(value.get<std::string>())};
  if (!value.is_object() || !value.contains("class_name") || !value["class_name"].is_string())
    return std::nullopt;
  Serialized out{keras_snake_case(value["class_name"].get<std::string>())};
  if (value.contains("config")) {
    // Functions carry their name as the configuration.
    if (value["config"].is_string()) out.name = value["config"].get<std::string>();
    else if (value["config"].is_object()) out.config = value["config"];
  }
  return out;
}

double number_or(const json& config, const char* key, double fallback) {
  const auto it = config.find(key);
  return it != config.end() && it->is_number() ? it->get<double>() : fallback;
}

std::optional<Initializer> variance_scaling(const json& config) {
  const std::string mode = config.value("mode", json("fan_in")).dump();
  const std::string distribution = config.value("distribution", json("truncated_normal")).dump();
  Initializer out = init::variance_scaling(number_or(config, "scale", 1), Initializer::Fan::In,
                                           Initializer::Distribution::TruncatedNormal);
  if (mode == "\"fan_out\"") out.fan = Initializer::Fan::Out;
  else if (mode == "\"fan_avg\"") out.fan = Initializer::Fan::Average;
  else if (mode != "\"fan_in\"") return std::nullopt;
  if (distribution == "\"uniform\"") out.distribution = Initializer::Distribution::Uniform;
  else if (distribution == "\"untruncated_normal\"")
    out.distribution = Initializer::Distribution::Normal;
  else if (distribution != "\"truncated_normal\"" && distribution != "\"normal\"")
    return std::nullopt;
  return out;
}

struct InitializerRow {
  std::string_view name;
  std::optional<Initializer> (*make)(const json& config);
};
using Made = std::optional<Initializer>;
constexpr InitializerRow kInitializers[] = {
    {"zeros", [](const json&) -> Made { return init::zeros(); }},
    {"ones", [](const json&) -> Made { return init::ones(); }},
    {"constant", [](const json& c) -> Made { return init::constant(number_or(c, "value", 0)); }},
    {"random_uniform",
     [](const json& c) -> Made {
       return init::random_uniform(number_or(c, "minval", -0.05), number_or(c, "maxval", 0.05));
     }},
    {"random_normal",
     [](const json& c) -> Made {
       return init::random_normal(number_or(c, "mean", 0), number_or(c, "stddev", 0.05));
     }},
    {"truncated_normal",
     [](const json& c) -> Made {
       return init::truncated_normal(number_or(c, "mean", 0), number_or(c, "stddev", 0.05));
     }},
    {"variance_scaling", variance_scaling},
    {"glorot_uniform", [](const json&) -> Made { return init::glorot_uniform(); }},
    {"glorot_normal", [](const json&) -> Made { return init::glorot_normal(); }},
    {"he_uniform", [](const json&) -> Made { return init::he_uniform(); }},
    {"he_normal", [](const json&) -> Made { return init::he_normal(); }},
    {"lecun_uniform", [](const json&) -> Made { return init::lecun_uniform(); }},
    {"lecun_normal", [](const json&) -> Made { return init::lecun_normal(); }},
    {"orthogonal", [](const json& c) -> Made { return init::orthogonal(number_or(c, "gain", 1)); }},
    {"identity", [](const json& c) -> Made { return init::identity(number_or(c, "gain", 1)); }},
};

bool is_neutral(const json& value) {
  return value.is_null() || value == json(false) || (value.is_number() && value.get<double>() == 0);
}

// Options that say nothing about a layer's results.
constexpr std::string_view kSilent[] = {"name",  "batch_input_shape", "batch_shape", "seed",
                                        "dtype", "input_length",      "autocast"};

}  // namespace

KerasOptions::KerasOptions(const KerasLayer& layer, const std::string& file, bool keras_3,
                           nn::Mode mode)
    : layer_(layer),
      file_(file),
      place_(fmt::format("{}: layer {} ({})", file, quote_text(layer.name), layer.class_name)),
      keras_3_(keras_3),
      mode_(mode) {
  for (std::string_view key : kSilent) read_.emplace(key);
}

void KerasOptions::wrong(const char* key, const json& value, std::string_view expected) {
  fail("{}: option '{}' is {}, {} was expected", place_, key, json_excerpt(value), expected);
}

void KerasOptions::unsupported(const std::string& key, const json& value) const {
  fail_unsupported("{}: option {} = {} is not supported", place_, quote_text(key),
                   json_excerpt(value));
}

const json* KerasOptions::find(const char* key, bool required) {
  read_.insert(key);
  const auto it = layer_.config.find(key);
  if (it != layer_.config.end() && !it->is_null()) return &*it;
  if (required) fail("{}: option '{}' is missing", place_, key);
  return nullptr;
}

const json* KerasOptions::raw(const char* key) { return find(key, false); }

bool KerasOptions::flag(const char* key, bool fallback) {
  const json* v = find(key, false);
  if (v == nullptr) return fallback;
  if (!v->is_boolean()) wrong(key, *v, "true or false");
  return v->get<bool>();
}

int64_t KerasOptions::integer(const char* key, std::optional<int64_t> fallback) {
  const json* v = find(key, !fallback);
  if (v == nullptr) return *fallback;
  // Keras 2 wrote numbers of units as floats at times.
  if (v->is_number_float() && std::abs(v->get<double>()) < 0x1p53 &&
      std::floor(v->get<double>()) == v->get<double>())
    return static_cast<int64_t>(v->get<double>());
  return json_integer(*v, fmt::format("{}: option '{}'", place_, key));
}

double KerasOptions::number(const char* key, std::optional<double> fallback) {
  const json* v = find(key, !fallback);
  if (v == nullptr) return *fallback;
  if (!v->is_number()) wrong(key, *v, "a number");
  return v->get<double>();
}

std::string KerasOptions::text(const char* key, std::optional<std::string> fallback) {
  const json* v = find(key, !fallback);
  if (v == nullptr) return *fallback;
  if (!v->is_string()) wrong(key, *v, "a string");
  return v->get<std::string>();
}

Dims KerasOptions::integers(const char* key, std::optional<Dims> fallback) {
  const json* v = find(key, !fallback);
  if (v == nullptr) return *fallback;
  const std::string at = fmt::format("{}: option '{}'", place_, key);
  if (!v->is_array()) return {json_integer(*v, at)};
  Dims out;
  for (const json& element : *v) out.push_back(json_integer(element, at));
  return out;
}

std::array<int64_t, 2> KerasOptions::pair(const char* key,
                                          std::optional<std::array<int64_t, 2>> fallback) {
  const json* v = find(key, !fallback);
  if (v == nullptr) return *fallback;
  const Dims list = integers(key);
  if (list.size() == 1 && !v->is_array()) return {list[0], list[0]};
  if (list.size() != 2) wrong(key, *v, "one or two integers");
  return {list[0], list[1]};
}

nn::Activation KerasOptions::activation(const char* key, nn::Activation fallback) {
  read_.insert(key);
  const auto it = layer_.config.find(key);
  if (it == layer_.config.end()) return fallback;
  if (it->is_null()) return nn::Activation::Linear;
  const auto serialized = parse_serialized(*it);
  if (!serialized) wrong(key, *it, "the name of an activation");
  const auto found = nn::parse_activation(serialized->name);
  if (!found) fail_unsupported("{}: {} {}", place_, key, quote_text(serialized->name));
  if (*found == nn::Activation::HardSigmoid && !keras_3_) return nn::Activation::LegacyHardSigmoid;
  return *found;
}

Initializer KerasOptions::initializer(const char* key, const Initializer& fallback) {
  const json* v = find(key, false);
  if (v == nullptr) return fallback;
  auto serialized = parse_serialized(*v);
  if (!serialized) wrong(key, *v, "an initializer");
  std::string_view name = serialized->name;
  constexpr std::string_view kSuffix = "_initializer";  // "OrthogonalInitializer"
  if (name.ends_with(kSuffix)) name.remove_suffix(kSuffix.size());
  for (const InitializerRow& row : kInitializers)
    if (row.name == name)
      if (const auto made = row.make(serialized->config)) return *made;
  fail_unsupported("{}: {} {}", place_, key, json_excerpt(*v));
}

nn::Padding KerasOptions::padding() {
  const std::string value = text("padding", "valid");
  if (value == "valid") return nn::Padding::Valid;
  if (value == "same") return nn::Padding::Same;
  fail_unsupported("{}: padding {}; valid and same are known", place_, quote_text(value));
}

nn::Layout KerasOptions::layout() {
  const std::string value = text("data_format", "channels_last");
  if (value == "channels_last") return nn::Layout::ChannelsLast;
  if (value == "channels_first") return nn::Layout::ChannelsFirst;
  fail("{}: data_format is {}, channels_last or channels_first was expected", place_,
       quote_text(value));
}

void KerasOptions::refuse(const char* key) {
  const json* v = find(key, false);
  if (v != nullptr && !is_neutral(*v)) unsupported(key, *v);
}

// Layers compute in float32; policies of other types would give other results.
void KerasOptions::check_dtype() {
  const auto it = layer_.config.find("dtype");
  if (it == layer_.config.end() || it->is_null()) return;
  json value = *it;
  if (value.is_object() && value.contains("config") && value["config"].is_object())
    value = value["config"].value("name", json());
  if (value.is_string() && value != json("float32")) unsupported("dtype", value);
}

void KerasOptions::finish() {
  check_dtype();
  for (const auto& [key, value] : layer_.config.items()) {
    if (read_.contains(key) || is_neutral(value)) continue;
    if (key.ends_with("_regularizer") || key.ends_with("_constraint")) {
      if (mode_ == nn::Mode::Inference) continue;
      fail_unsupported("{}: training with {} = {}", place_, quote_text(key), json_excerpt(value));
    }
    if (key == "trainable") continue;  // of a layer without parameters
    unsupported(key, value);
  }
}

}  // namespace lathe
