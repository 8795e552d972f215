// A model: a graph and the values of what it remembers.
#pragma once

#include <string>

#include "frontend/weights.h"
#include "ir/expr.h"

namespace lathe {

struct Model {
  Graph graph;
  // One value for each input of role Parameter or State, by the input's name. More may be there:
  // graphs for training and for inference share one set.
  Weights weights;
};

// User error naming the first weight that is missing or not of its input's type, with both types.
void check_weights(const Model& model);

// The graph with weights as constants: inputs of role Parameter and State are gone, and so are the
// outputs that would update them. Checks weights as check_weights does.
Graph freeze(const Model& model);

// Replaces the values of all parameters and states by those of a safetensors file; others in the
// file are left alone. A weight that is missing there or of another type is a user error naming the
// file, the weight and what was expected, and leaves `model` as it was.
void load_weights(Model& model, const std::string& path);
// Writes all of model.weights, atomically.
void save_weights(const Model& model, const std::string& path);

}  // namespace lathe
