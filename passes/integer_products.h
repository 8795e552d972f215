// Products of quantised numbers as products of bytes.
#pragma once

#include "ir/graph.h"

namespace lathe {

// In regions too. A quantised number is scale * (q - zero) of an i8 or u8 q: here a cast of q, less
// a cast zero, times a scale, seen through transposes, reshapes and windows. A contraction of two
// of them,
//   sum (a - za) (b - zb)  =  sum a b  -  za sum b  -  zb (sum a - n za),
// becomes one of their bytes, summed in i32, which has instructions of its own; the sums of a
// literal are literals. Of integers (MatMulInteger, QLinearConv) this has the same bits. Of floats
// (DequantizeLinear before MatMul or Conv) the integers are summed exactly and scaled once, where
// sums of floats round at every step: another result in the last bits, nearer to the exact one.
//
// As it is stays: what has a zero for each step of the sum, windows whose padding would need a zero
// that is not known, and float products so long that 32 bits might overflow.
Graph integer_products(const Graph& g);

}  // namespace lathe
