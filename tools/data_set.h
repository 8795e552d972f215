// What ONNX suites record beside a model: input_0.pb, input_1.pb, .. and output_0.pb, ..
#pragma once

#include <filesystem>

#include "tools/onnx_file.h"

namespace lathe::tools {

// PREFIX_0.pb, PREFIX_1.pb, .. as far as they go.
std::vector<std::filesystem::path> data_files(const std::filesystem::path& folder,
                                              const std::string& prefix);
// One value. Suites of before ONNX 1.13 wrote bfloat16 as uint16 of the same bits.
onnx::Value read_recorded(const std::filesystem::path& file, const onnx::DeclaredType& type);
// The inputs in a folder; where `data` is a file, arange(n)/n in the shape of each input.
OnnxInputs recorded_inputs(const std::filesystem::path& data, const onnx::ModelDef& model);

}  // namespace lathe::tools
