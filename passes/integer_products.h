// Products of quantised numbers as products of bytes.
//
// A quantised number is scale * (q - zero) of an i8 or u8 q: here a cast of q, less a cast zero,
// times a scale, seen through transposes, reshapes and windows. A contraction of two of them,
//   sum (a - za) (b - zb)  =  sum a b  -  za sum b  -  zb (sum a - n za),
// becomes one of their bytes, summed in i32, which has instructions of its own; the sums of a
// literal are literals. As it is stays: what has a zero for each step of the sum or each row, and
// windows whose padding would need a zero that is not known.
#pragma once

#include "ir/graph.h"

namespace lathe {

// Products of integers (MatMulInteger, QLinearConv), with the same bits. In regions too.
Graph integer_products(const Graph& g);

// Products of floats (DequantizeLinear before MatMul or Conv): exact sums, scaled once, where sums
// of floats round at every step. Real arithmetic, of which nothing happens unasked: a
// QuantizeLinear that follows may round a tie the other way. Not of so many steps that 32 bits
// might overflow. Precondition: `simplify` has run.
Graph quantised_float_products(const Graph& g);

}  // namespace lathe
