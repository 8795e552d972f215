#include "backends/simd/table.h"

namespace lathe::simd {

const Table* find_table(Isa isa) {
  switch (isa) {
    case Isa::scalar: return nullptr;
    case Isa::sse42: return &table_sse42();
    case Isa::avx2: return &table_avx2();
    case Isa::avx512: return &table_avx512();
  }
  __builtin_unreachable();
}

}  // namespace lathe::simd
