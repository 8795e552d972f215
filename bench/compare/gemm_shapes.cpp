#include <cmath>
#include <random>

#include "bench/compare/gemm.h"

namespace lathe::compare {

std::vector<GemmShape> gemm_shapes() {
  std::vector<GemmShape> shapes = {
      // MLP 784-512-512-10, batch 64 and 1
      {64, 512, 784},
      {64, 512, 512},
      {64, 10, 512},
      {1, 512, 784},
      {1, 512, 512},
      // LSTM classifier, batch 32, 100 tokens: a step and a projection of each layer; batch 1
      {32, 512, 128},
      {3200, 512, 128},
      {32, 256, 64},
      {3200, 256, 128},
      {1, 512, 128},
      // BERT-base, 128 tokens
      {128, 2304, 768},
      {128, 768, 768},
      {128, 3072, 768},
      {128, 768, 3072},
      // GPT-2 small, 64 tokens
      {64, 2304, 768},
      {64, 768, 768},
      {64, 3072, 768},
      {64, 768, 3072},
      {64, 50257, 768},
      // 1x1 convolutions of ResNet-50, one a stage, and its last layer
      {3136, 256, 64},
      {784, 512, 128},
      {196, 1024, 256},
      {49, 2048, 512},
      {1, 1000, 2048}};
  constexpr int kRandomShapes = 40;
  std::mt19937_64 random(1);
  const auto between = [&](double least, double most) {
    const double u = static_cast<double>(random() >> 11) * 0x1p-53;
    return static_cast<int64_t>(least * std::pow(most / least, u));
  };
  for (int i = 0; i < kRandomShapes; ++i) {
    const int64_t m = between(1, 512), n = between(8, 2048), k = between(8, 2048);
    shapes.push_back({m, n, k});
  }
  return shapes;
}

}  // namespace lathe::compare
