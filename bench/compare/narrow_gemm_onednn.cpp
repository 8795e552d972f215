#include <dnnl.hpp>

#include "bench/compare/narrow_gemm.h"

namespace lathe::compare {
namespace {

using dnnl::memory;
using Format = memory::format_tag;
using Type = memory::data_type;

Type type_of(DType t) {
  switch (t) {
    case DType::i8: return Type::s8;
    case DType::u8: return Type::u8;
    case DType::i32: return Type::s32;
    case DType::bf16: return Type::bf16;
    case DType::f32: return Type::f32;
    default: fail("no product of {} is asked for", name(t));
  }
}

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

std::function<void()> prepare_onednn(const NarrowGemm& g) {
  const auto [model, m, n, k] = g.shape;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const memory::desc da({m, k}, type_of(g.a.dtype()), Format::ab),
      dc({m, n}, type_of(g.sum), Format::ab);
  const auto implementation =
      find_implementation(da, {{k, n}, type_of(g.b.dtype()), Format::any}, dc, engine);
  memory a(da, engine, const_cast<void*>(g.a.raw())),
      given({{k, n}, type_of(g.b.dtype()), Format::ab}, engine, const_cast<void*>(g.b.raw())),
      b(implementation.weights_desc(), engine), c(dc, engine, g.c);
  dnnl::reorder(given, b).execute(stream, given, b);
  stream.wait();
  return [stream, matmul = dnnl::matmul(implementation), keep = g,
          arguments = std::unordered_map<int, memory>{
              {DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}}]() mutable {
    matmul.execute(stream, arguments);
    stream.wait();
  };
}

}  // namespace lathe::compare
