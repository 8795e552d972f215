// Constant factors of products, in the order in which kernels read them.
#pragma once

#include "ir/base/parallel.h"
#include "ir/base/target.h"
#include "ir/program.h"

namespace lathe {

// A literal that a product multiplies by, [k, n] in any layout, becomes panels [n / w, k, w] once,
// ahead: kernels walk memory and copy nothing. Columns beyond the last whole panel get a kernel of
// their own, which is why one call may become two. Bytes that are summed in 32 bits, and bf16 where
// the target multiplies pairs, are interleaved as its instructions take them (ir/byte_product.h,
// ir/pair_product.h). Order of additions and bits stay; literals that nothing reads any more go.
void pack_constants(Program& p, const Target& target, const ParallelFor& parallel = serial_for);

}  // namespace lathe
