#include <cmath>
#include <random>

#include "bench/compare/gemm.h"

namespace lathe::compare {

std::vector<GemmShape> gemm_shapes() {
  // MLP 784-512-512-10 at batch 64 and 1; LSTM classifier at batch 32 and 100 tokens, a step and a
  // projection of each layer, and a step at batch 1; BERT-base at 128 tokens, GPT-2 small at 64;
  // a 1x1 convolution of each stage of ResNet-50, and its last layer.
  std::vector<GemmShape> shapes = {{"MLP", 64, 512, 784},
                                   {"MLP", 64, 512, 512},
                                   {"MLP", 64, 10, 512},
                                   {"MLP", 1, 512, 784},
                                   {"MLP", 1, 512, 512},
                                   {"LSTM", 32, 512, 128},
                                   {"LSTM", 3200, 512, 128},
                                   {"LSTM", 32, 256, 64},
                                   {"LSTM", 3200, 256, 128},
                                   {"LSTM", 1, 512, 128},
                                   {"BERT-base", 128, 2304, 768},
                                   {"BERT-base", 128, 768, 768},
                                   {"BERT-base", 128, 3072, 768},
                                   {"BERT-base", 128, 768, 3072},
                                   {"GPT-2 small", 64, 2304, 768},
                                   {"GPT-2 small", 64, 768, 768},
                                   {"GPT-2 small", 64, 3072, 768},
                                   {"GPT-2 small", 64, 768, 3072},
                                   {"GPT-2 small", 64, 50257, 768},
                                   {"ResNet-50", 3136, 256, 64},
                                   {"ResNet-50", 784, 512, 128},
                                   {"ResNet-50", 196, 1024, 256},
                                   {"ResNet-50", 49, 2048, 512},
                                   {"ResNet-50", 1, 1000, 2048}};
  constexpr int kRandomShapes = 40;
  std::mt19937_64 random(1);
  const auto between = [&](double least, double most) {
    const double u = static_cast<double>(random() >> 11) * 0x1p-53;
    return static_cast<int64_t>(least * std::pow(most / least, u));
  };
  for (int i = 0; i < kRandomShapes; ++i) {
    const int64_t m = between(1, 512), n = between(8, 2048), k = between(8, 2048);
    shapes.push_back({"random", m, n, k});
  }
  return shapes;
}

}  // namespace lathe::compare
