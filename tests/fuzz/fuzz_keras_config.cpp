// Keras configurations in JSON: parsed, built for inference and for training, compile settings
// read.
#include "frontend/keras/load.h"
#include "tests/fuzz/fuzz.h"

namespace lathe {

void fuzz_input(std::string_view bytes) {
  for (const nn::Mode mode : {nn::Mode::Inference, nn::Mode::Training})
    holds([&] { (void)build_keras(bytes, "fuzz.json", mode); });
  holds([&] { (void)parse_keras_training(bytes, "fuzz.json"); });
}

}  // namespace lathe
