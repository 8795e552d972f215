// OpenBLAS. It has no packing ahead. Its sgemm is slow for one row, so that takes sgemv.
#include <cblas.h>

#include "bench/compare/gemm.h"

namespace lathe::compare {

std::function<void()> prepare_gemm(const Gemm& g, int threads) {
  openblas_set_num_threads(threads);
  const int m = static_cast<int>(g.shape.m), n = static_cast<int>(g.shape.n),
            k = static_cast<int>(g.shape.k);
  if (m == 1)
    return [=] { cblas_sgemv(CblasRowMajor, CblasTrans, k, n, 1, g.b, n, g.a, 1, 0, g.c, 1); };
  return [=] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, g.a, k, g.b, n, 0, g.c, n);
  };
}

}  // namespace lathe::compare
