// Sums of products of bytes, as kernels say them: machines have instructions for several such
// products at once, which want the bytes that they take together side by side.
#pragma once

#include <optional>

#include "ir/kernel.h"

namespace lathe {

// cast(load) to the 32 bits of the sum.
struct ByteFactor {
  ScalarId load = -1;
  ScalarId cast = -1;
  bool is_signed = false;
  int fill = 0;  // what stands where the load's guards fail
};

// acc += a * b, of i8 or u8 each and in any order, since integers wrap. `b` varies along the
// parallel iv n, `a` does not and walks memory along the last reduction iv, all of whose steps have
// the same guards.
//
// The elements of b that one step of n lies apart may be interleaved: `group` steps of the last
// reduction iv lie side by side, then the next column's. With q = floor(last / group) the offset is
// group * n + last + (pitch - group) * q + .., and q is `quotient`.
struct ByteProduct {
  ByteFactor a, b;
  int group = 1;  // 1: not interleaved, and b's offset is affine in the ivs
  int64_t pitch = 0;
  SymbolId quotient = -1;
};

std::optional<ByteProduct> byte_product(const Kernel& k, SymbolId n);

}  // namespace lathe
