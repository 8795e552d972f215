// A Keras model's configuration as written by to_json() or found in .keras and .h5 files: which
// layers there are and how they are joined. Both dialects are read: Keras 2 (`batch_input_shape`,
// lists as inbound nodes) and Keras 3 (`module`, `batch_shape`, `keras_history`).
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lathe {

// Output `tensor` of call number `call` of a layer.
struct KerasTensor {
  std::string layer;
  int64_t call = 0;
  int64_t tensor = 0;
};

struct KerasCall {
  std::vector<KerasTensor> inputs;
  std::optional<KerasTensor> mask;  // given by hand, instead of the one that comes with the input
  std::vector<double> numbers;      // plain numbers among the arguments, as operators have
};

struct KerasLayer {
  std::string name, class_name;
  nlohmann::json config;         // an object
  std::vector<KerasCall> calls;  // empty for inputs
};

struct KerasConfig {
  std::string file;  // for messages
  std::string name;
  bool keras_3 = false;
  std::vector<KerasLayer> layers;  // names are unique
  std::vector<KerasTensor> outputs;
  nlohmann::json compile_config;  // null where absent
};

// A Sequential model becomes a chain of calls that begins with an InputLayer, which is added where
// the first layer carries the shape. User errors name the file and the place in it; a layer in the
// place of a layer that is itself a model is unsupported.
KerasConfig parse_keras_config(std::string_view text, const std::string& file);

// Members of untrusted JSON objects. `place` opens the message of a user error where the member is
// missing or of another kind.
const nlohmann::json& json_member(const nlohmann::json& object, const char* key,
                                  const std::string& place);
std::string json_text(const nlohmann::json& value, const std::string& place);
int64_t json_integer(const nlohmann::json& value, const std::string& place);
const nlohmann::json& json_array(const nlohmann::json& value, const std::string& place);
const nlohmann::json& json_object(const nlohmann::json& value, const std::string& place);
// A value as it may appear in a message: one line, cut.
std::string json_excerpt(const nlohmann::json& value);

}  // namespace lathe
