// oneDNN's matmul for the programs that measure products beside it.
#pragma once

#include <dnnl.hpp>
#include <functional>

#include "bench/compare/gemm.h"

namespace lathe::compare {

struct MatmulTypes {
  dnnl::memory::data_type a, b, c;
};

// Row-major a [m, k], b [k, n], c [m, n], which must outlive the call that is returned. Once, here,
// b is put into the format that oneDNN prefers. Threads are OpenMP's: OMP_NUM_THREADS.
std::function<void()> prepare_matmul(const GemmShape& s, const MatmulTypes& types, const void* a,
                                     const void* b, void* c);

}  // namespace lathe::compare
