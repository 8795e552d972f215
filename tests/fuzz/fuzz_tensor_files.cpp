// Tensors in files, .npy and .safetensors: every element that is promised can be read.
#include "runtime/npy.h"
#include "runtime/safetensors.h"
#include "tests/fuzz/fuzz.h"

namespace lathe {
namespace {

void read_all(const Tensor& t) {
  for (int64_t i = 0; i < t.size(); ++i) (void)t.at(i);
}

}  // namespace

void fuzz_input(std::string_view bytes) {
  const auto owner = std::make_shared<std::string>(bytes);
  const auto span = std::as_bytes(std::span(*owner));
  holds([&] { read_all(parse_npy(span, owner, "fuzz.npy")); });
  holds([&] {
    for (const NamedTensor& t : parse_safetensors(span, owner, "fuzz.safetensors").tensors)
      read_all(t.tensor);
  });
}

}  // namespace lathe
