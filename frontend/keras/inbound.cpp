#include "frontend/keras/inbound.h"

#include "ir/base/error.h"
#include "runtime/json.h"

namespace lathe {
namespace {

using nlohmann::json;

bool is_keras_tensor(const json& value) {
  return value.is_object() && value.value("class_name", json()) == json("__keras_tensor__");
}

bool is_tensor_reference(const json& value) {
  return value.is_array() && value.size() >= 3 && value[0].is_string() &&
         value[1].is_number_integer() && value[2].is_number_integer();
}

bool is_neutral(const json& value) {
  return value.is_null() || value == json(false) || (value.is_object() && value.empty());
}

KerasTensor parse_reference(const json& value, const std::string& place) {
  if (!is_tensor_reference(value))
    fail("{}: {} is not a tensor; [\"layer\", call, tensor] was expected", place,
         json_excerpt(value));
  return {json_text(value[0], place), json_integer(value[1], place), json_integer(value[2], place)};
}

KerasTensor parse_keras_tensor(const json& value, const std::string& place) {
  const json& config = json_member(value, "config", place + ": __keras_tensor__");
  return parse_reference(json_member(config, "keras_history", place + ": __keras_tensor__"), place);
}

// Tensors and numbers, at any depth of lists.
void collect_arguments(const json& value, KerasCall& call, const std::string& place) {
  if (is_keras_tensor(value)) call.inputs.push_back(parse_keras_tensor(value, place));
  else if (value.is_array())
    for (const json& element : value) collect_arguments(element, call, place);
  else if (value.is_number()) call.numbers.push_back(value.get<double>());
  else if (!is_neutral(value))
    fail_unsupported("{}: the argument {} of its call", place, json_excerpt(value));
}

void parse_keywords(const json& keywords, KerasCall& call, const std::string& place) {
  for (const auto& [key, value] : json_object(keywords, place + ": keyword arguments").items()) {
    if (key == "mask" && is_keras_tensor(value)) call.mask = parse_keras_tensor(value, place);
    else if (key == "mask" && is_tensor_reference(value)) call.mask = parse_reference(value, place);
    else if (!is_neutral(value))
      fail_unsupported("{}: the argument {}={} of its call", place, quote_text(key),
                       json_excerpt(value));
  }
}

// Keras 3: {"args": [..], "kwargs": {..}}
KerasCall parse_keras_3_call(const json& node, const std::string& place) {
  KerasCall call;
  collect_arguments(json_array(json_member(node, "args", place), place + ": args"), call, place);
  if (node.contains("kwargs")) parse_keywords(node["kwargs"], call, place);
  return call;
}

// Keras 2: [["layer", call, tensor, {keywords}], ..]; a single one may stand without its list.
KerasCall parse_keras_2_call(const json& node, const std::string& place) {
  KerasCall call;
  const json inputs = is_tensor_reference(node) ? json::array({node}) : node;
  for (const json& input : json_array(inputs, place + ": inbound node")) {
    call.inputs.push_back(parse_reference(input, place + ": inbound node"));
    if (input.size() > 3) parse_keywords(input[3], call, place);
  }
  return call;
}

}  // namespace

std::vector<KerasCall> parse_inbound_nodes(const json& nodes, const std::string& place) {
  std::vector<KerasCall> calls;
  for (const json& node : json_array(nodes, place + ": inbound_nodes"))
    calls.push_back(node.is_object() ? parse_keras_3_call(node, place)
                                     : parse_keras_2_call(node, place));
  return calls;
}

std::vector<KerasTensor> parse_tensor_list(const json& list, const std::string& place) {
  if (is_tensor_reference(list)) return {parse_reference(list, place)};
  std::vector<KerasTensor> out;
  for (const json& entry : json_array(list, place)) out.push_back(parse_reference(entry, place));
  return out;
}

}  // namespace lathe
