// Any MODEL of the command line, as one thing.
#pragma once

#include <string>
#include <vector>

#include "frontend/model.h"
#include "frontend/nn.h"
#include "frontend/onnx/model.h"

namespace lathe::tools {

struct ModelFile {
  std::string path;
  Model model;
  DimBinding dims;  // what the file fixes of the model's free dims: the length of a run's texts
  // What was given for free dims that are bound already: those of an ONNX model.
  DimBinding bound = {};
};

// A path that names nothing is a user error, before anything is said of what it should hold.
void check_exists(const std::string& path);

// A RUN folder, .onnx, .keras, .h5, a Keras configuration in .json, or Lathe's own text in .gir,
// which holds weights as constants only (what `compile --emit graph` writes). Others are refused by
// name. Weights that the file does not hold are those of a new model under `seed`. `dims` are
// needed where the model's graph depends on them (ONNX).
ModelFile load_model(const std::string& path, nn::Mode mode = nn::Mode::Inference,
                     uint64_t seed = 0, const DimBinding& dims = {},
                     const onnx::LoadLimits& limits = {});

// Replaces the model's weights by those of a safetensors file (frontend/model.h). Unsupported for
// ONNX models, whose weights are constants.
void replace_weights(ModelFile& file, const std::string& path);

// "NAME=N" from --dim; anything else is a UsageError.
DimBinding parse_dims(const std::vector<std::string>& texts);

// A value for every free dim of the model: `given`, else the file's own, else 1 for `batch`. One
// without a value is a user error that says how to give it, a name the model lacks another.
DimBinding all_dims(const ModelFile& file, const DimBinding& given);

// The model's inputs that are given at each run.
std::vector<GraphInput> data_inputs(const Graph& g);

// What the dims of `given` tell about free dims of `input`; ranks that differ tell nothing.
void infer_dims(const GraphInput& input, const Dims& given, DimBinding& dims);

}  // namespace lathe::tools
