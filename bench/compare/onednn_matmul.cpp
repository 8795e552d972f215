#include "bench/compare/onednn_matmul.h"

#include <unordered_map>

namespace lathe::compare {
namespace {

using dnnl::memory;
using Format = memory::format_tag;

dnnl::matmul::primitive_desc find_implementation(const memory::desc& a, const memory::desc& b,
                                                 const memory::desc& c,
                                                 const dnnl::engine& engine) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, b, c};
#else
  return {{a, b, c}, engine};
#endif
}

}  // namespace

std::function<void()> prepare_matmul(const GemmShape& s, const MatmulTypes& types, const void* a,
                                     const void* b, void* c) {
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::desc of_a({s.m, s.k}, types.a, Format::ab), of_c({s.m, s.n}, types.c, Format::ab);
  const auto implementation =
      find_implementation(of_a, {{s.k, s.n}, types.b, Format::any}, of_c, engine);
  memory from_a(of_a, engine, const_cast<void*>(a)),
      given({{s.k, s.n}, types.b, Format::ab}, engine, const_cast<void*>(b)),
      from_b(implementation.weights_desc(), engine), to_c(of_c, engine, c);
  dnnl::reorder(given, from_b).execute(stream, given, from_b);
  stream.wait();
  return [stream, matmul = dnnl::matmul(implementation),
          arguments = std::unordered_map<int, memory>{
              {DNNL_ARG_SRC, from_a}, {DNNL_ARG_WEIGHTS, from_b}, {DNNL_ARG_DST, to_c}}]() mutable {
    matmul.execute(stream, arguments);
    stream.wait();
  };
}

}  // namespace lathe::compare
