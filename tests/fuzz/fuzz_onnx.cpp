// ONNX models: read, linked and traced with every free dim 3.
#include "frontend/onnx/load.h"
#include "frontend/onnx/reader.h"
#include "tests/fuzz/fuzz.h"

namespace lathe {

void fuzz_input(std::string_view bytes) {
  const auto owner = std::make_shared<std::string>(bytes);
  holds([&] {
    const auto model = onnx::parse_model(std::as_bytes(std::span(*owner)), owner, "fuzz.onnx", "");
    DimBinding dims;
    for (const std::string& name : onnx::free_dims(*model)) dims[name] = 3;
    onnx::trace(onnx::begin(model, onnx::typed_inputs(*model, dims), {}));
  });
}

}  // namespace lathe
