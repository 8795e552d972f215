// What became of a model, in numbers.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "ir/base/target.h"
#include "tools/model_file.h"

namespace lathe::tools {

// kernels, arena_bytes (on as many threads as it would run on), weight_bytes and constant_bytes of
// the compiled program.
nlohmann::ordered_json program_report(const ModelFile& file, const DimBinding& dims,
                                      const Target& target);

// Of an ONNX model, found by running it on the inputs in the folder `data`, or on random ones.
// `nodes`: how many were folded while tracing, how many are in compiled kernels, and the host steps
// by op, as well as those of them that read floats. `seconds`: the median of several runs, as a
// whole and in compiled stages, and what tracing and compiling took before the first.
nlohmann::ordered_json session_report(const std::string& path, const DimBinding& dims,
                                      const std::string& data, const onnx::LoadLimits& limits);

}  // namespace lathe::tools
