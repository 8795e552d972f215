// An ONNX model as one graph, where it is one: free dims bound, and nothing cut (trace.h).
#pragma once

#include "frontend/model.h"
#include "frontend/onnx/trace.h"

namespace lathe::onnx {

// The names of the free dims of the inputs, in order; a dim without a name is called after the
// input and its axis, "x_0".
std::vector<std::string> free_dims(const ModelDef& model);

// The required inputs with their types, without contents. Precondition: dims has every free dim.
// Inputs that are not tensors of numbers are Unsupported.
std::vector<std::pair<std::string, Value>> typed_inputs(const ModelDef& model,
                                                        const DimBinding& dims);

// What the given inputs tell about free dims.
void infer_dims(const ModelDef& model, const std::vector<std::pair<std::string, Value>>& inputs,
                DimBinding& dims);

// No part of the model depends on values that only a run can tell, and none runs in a host step.
bool is_one_graph(const std::shared_ptr<const ModelDef>& model, const DimBinding& dims);

// With `trained`, floating-point initializers are parameters, else constants. Unsupported, naming
// the node, where !is_one_graph().
Model load_graph(const std::shared_ptr<const ModelDef>& model, const DimBinding& dims,
                 bool trained);

}  // namespace lathe::onnx
