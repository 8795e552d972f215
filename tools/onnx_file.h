// ONNX models on the command line.
#pragma once

#include <optional>

#include "frontend/onnx/load.h"
#include "session/session.h"
#include "tools/compute.h"

namespace lathe::tools {

using OnnxInputs = std::vector<std::pair<std::string, onnx::Value>>;

bool is_onnx(const std::string& path);

// --max-nodes and --max-elements, in every verb that loads models.
void add_limit_options(OptionList& options, onnx::LoadLimits& limits);

SessionOptions session_options(const Compute& compute);

// A value for every free dim: `given`, else 1 for a batch by its name ("batch_size", "N"). One
// without a value is a user error that says how to give it, a name the model lacks another.
DimBinding onnx_dims(const onnx::ModelDef& model, const DimBinding& given);

// The model as one graph (frontend/onnx/load.h), its free dims bound.
Model load_onnx_graph(const std::string& path, const DimBinding& dims, bool trained,
                      const onnx::LoadLimits& limits);

// The model's inputs: `feeds`, and with a seed random values for the others.
OnnxInputs onnx_inputs(const onnx::ModelDef& model, const Feeds& feeds,
                       std::optional<uint64_t> random, const DimBinding& dims);

// One run from .npy inputs; with a seed the others are random.
void run_onnx(const std::string& path, const Feeds& feeds, std::optional<uint64_t> random,
              const DimBinding& dims, const Compute& compute, const onnx::LoadLimits& limits,
              const Answer& answer);

}  // namespace lathe::tools
