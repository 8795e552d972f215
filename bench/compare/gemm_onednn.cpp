// oneDNN's matmul, b in the format it prefers. Threads are OpenMP's: OMP_NUM_THREADS.
#include <dnnl.hpp>

#include "bench/compare/gemm.h"

namespace lathe::compare {
namespace {

using dnnl::memory;
using Format = memory::format_tag;

memory::desc matrix(int64_t rows, int64_t columns, Format format) {
  return {{rows, columns}, memory::data_type::f32, format};
}

dnnl::matmul::primitive_desc find_implementation(const GemmShape& s, const dnnl::engine& engine) {
  const memory::desc a = matrix(s.m, s.k, Format::ab), b = matrix(s.k, s.n, Format::any),
                     c = matrix(s.m, s.n, Format::ab);
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, b, c};
#else
  return {{a, b, c}, engine};
#endif
}

}  // namespace

std::function<void()> prepare_gemm(const Gemm& g, int) {
  const GemmShape& s = g.shape;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const auto implementation = find_implementation(s, engine);
  memory a(matrix(s.m, s.k, Format::ab), engine, const_cast<float*>(g.a)),
      given(matrix(s.k, s.n, Format::ab), engine, const_cast<float*>(g.b)),
      b(implementation.weights_desc(), engine), c(matrix(s.m, s.n, Format::ab), engine, g.c);
  dnnl::reorder(given, b).execute(stream, given, b);
  stream.wait();
  return [stream, matmul = dnnl::matmul(implementation),
          arguments = std::unordered_map<int, memory>{
              {DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}}]() mutable {
    matmul.execute(stream, arguments);
    stream.wait();
  };
}

}  // namespace lathe::compare
