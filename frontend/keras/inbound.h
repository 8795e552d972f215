// How the layers of a functional Keras model are joined.
#pragma once

#include "frontend/keras/config.h"

namespace lathe {

// The calls of a layer, from its inbound_nodes in either dialect. Arguments that are neither
// tensors nor numbers nor neutral are unsupported; `place` names the layer.
std::vector<KerasCall> parse_inbound_nodes(const nlohmann::json& nodes, const std::string& place);

// ["name", 0, 0] or a list of such.
std::vector<KerasTensor> parse_tensor_list(const nlohmann::json& list, const std::string& place);

}  // namespace lathe
