// The compile settings of a Keras model: optimiser and loss.
#include "frontend/keras/config.h"
#include "frontend/keras/load.h"
#include "frontend/keras/weights.h"
#include "frontend/optimizers.h"
#include "runtime/json.h"

namespace lathe {
namespace {

using nlohmann::json;

// A name alone, or {"class_name": .., "config": {..}}.
struct Serialized {
  std::string class_name;
  json config = json::object();
};

Serialized parse_serialized(const json& value, const std::string& place) {
  if (value.is_string()) return {value.get<std::string>(), json::object()};
  Serialized out{json_text(json_member(value, "class_name", place), place + ".class_name"),
                 json::object()};
  if (value.contains("config") && value["config"].is_object()) out.config = value["config"];
  return out;
}

class Settings {
 public:
  Settings(const json& config, std::string place) : config_(config), place_(std::move(place)) {}

  double number(const char* key, double fallback) const {
    const auto it = config_.find(key);
    if (it == config_.end() || it->is_null()) return fallback;
    if (!it->is_number())
      fail_unsupported("{}: {} = {}; a number is known", place_, key, json_excerpt(*it));
    return it->get<double>();
  }
  bool flag(const char* key) const {
    const auto it = config_.find(key);
    return it != config_.end() && *it == json(true);
  }
  void refuse(std::initializer_list<const char*> keys) const {
    for (const char* key : keys) {
      const auto it = config_.find(key);
      if (it != config_.end() && !it->is_null() && *it != json(false) && *it != json(0.0))
        fail_unsupported("{}: {} = {}", place_, key, json_excerpt(*it));
    }
  }

 private:
  const json& config_;
  std::string place_;
};

Optimizer make_optimizer(const Serialized& s, const std::string& place) {
  const Settings o(s.config, place);
  o.refuse({"clipnorm", "global_clipnorm", "clipvalue", "use_ema", "loss_scale_factor",
            "gradient_accumulation_steps", "amsgrad", "centered", "decay"});
  Optimizer optimizer = find_optimizer(s.class_name);
  const std::string name = optimizer.name;
  const double epsilon = o.number("epsilon", 1e-7);
  const AdamOptions moments{o.number("beta_1", 0.9), o.number("beta_2", 0.999), epsilon};
  if (name == "adamw") return adamw({moments, o.number("weight_decay", 0.004)});
  o.refuse({"weight_decay"});
  if (name == "adam") return adam(moments);
  if (name == "sgd") return sgd({o.number("momentum", 0), o.flag("nesterov")});
  if (name == "rmsprop") return rmsprop({o.number("rho", 0.9), o.number("momentum", 0), epsilon});
  if (name == "adagrad") return adagrad({o.number("initial_accumulator_value", 0.1), epsilon});
  return optimizer;
}

Objective make_objective(const Serialized& s, const std::string& place) {
  const Settings o(s.config, place);
  o.refuse({"label_smoothing", "ignore_class"});
  std::string name = keras_snake_case(s.class_name);
  if (o.flag("from_logits")) name += "_from_logits";
  return find_objective(name);
}

}  // namespace

std::optional<KerasTraining> parse_keras_training(std::string_view config_json,
                                                  const std::string& file) {
  const KerasConfig config = parse_keras_config(config_json, file);
  const json& c = config.compile_config;
  if (!c.is_object() || !c.contains("optimizer") || !c.contains("loss") || c["loss"].is_null())
    return std::nullopt;
  const std::string place = file + ": compile_config";
  try {
    const Serialized optimizer = parse_serialized(c["optimizer"], place + ".optimizer");
    const double fallback = keras_snake_case(optimizer.class_name) == "sgd" ? 0.01 : 1e-3;
    const Settings settings(optimizer.config, place + ".optimizer");
    return KerasTraining{
        .optimizer = make_optimizer(optimizer, place + ".optimizer"),
        .learning_rate = settings.number("learning_rate", fallback),
        .objective = make_objective(parse_serialized(c["loss"], place + ".loss"), place + ".loss")};
  } catch (const Error& e) {
    const std::string message = e.what();
    if (message.starts_with(file)) throw;
    throw Error(e.kind(), fmt::format("{}: {}", place, message));
  }
}

}  // namespace lathe
