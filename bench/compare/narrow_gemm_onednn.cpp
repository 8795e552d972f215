#include "bench/compare/narrow_gemm.h"
#include "bench/compare/onednn_matmul.h"

namespace lathe::compare {
namespace {

using Type = dnnl::memory::data_type;

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

}  // namespace

std::function<void()> prepare_onednn(const NarrowGemm& g) {
  return [keep = g, matmul = prepare_matmul(
                        g.shape, {type_of(g.a.dtype()), type_of(g.b.dtype()), type_of(g.sum)},
                        g.a.raw(), g.b.raw(), g.c)] { matmul(); };
}

}  // namespace lathe::compare
