#include "bench/compare/onednn_matmul.h"

namespace lathe::compare {

std::function<void()> prepare_gemm(const Gemm& g, int) {
  constexpr auto kFloat = dnnl::memory::data_type::f32;
  return prepare_matmul(g.shape, {kFloat, kFloat, kFloat}, g.a, g.b, g.c);
}

}  // namespace lathe::compare
