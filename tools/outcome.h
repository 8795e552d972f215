// What `lathe check` finds out about one case, and how it compares.
#pragma once

#include <filesystem>
#include <string>

#include "ir/base/tensor.h"
#include "tools/onnx_file.h"

namespace lathe::tools {

struct CheckCase {
  // `data`: a folder test_data_set_*, or the file of the one output of a model that is fed
  // arange(n)/n.
  std::filesystem::path model, data;
  std::string name() const { return data.string(); }
};

struct CheckOptions {
  double rtol = 1e-3, atol = 1e-5;
  Compute compute;
  onnx::LoadLimits limits = {};
};

struct Outcome {
  enum class Kind { Passed, Failed, Skipped } kind = Kind::Passed;
  std::string reason;
};

// Why `got` is not `expected`; empty where it is.
std::string difference(const Tensor& got, const Tensor& expected, const CheckOptions& o);

Outcome check_onnx(const CheckCase& c, const CheckOptions& o);

}  // namespace lathe::tools
