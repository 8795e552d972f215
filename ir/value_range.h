// Intervals of what elements may be: the `range` hooks of ops.
#pragma once

#include <optional>
#include <span>

#include "ir/graph.h"

namespace lathe {

// Of all elements of a value: none is NaN, and they lie between.
struct ValueRange {
  double low = 0, high = 0;
  bool is(double v) const { return low == v && high == v; }
  bool contains(double v) const { return low <= v && v <= high; }
  bool single() const { return low == high; }
};

using MaybeRange = std::optional<ValueRange>;  // nothing where it is not known

inline MaybeRange exactly(double v) { return ValueRange{v, v}; }
inline bool is(const MaybeRange& r, double v) { return r && r->is(v); }

// `r` as far as elements of `t` hold it: integers that wrap and numbers that are rounded are not
// known.
MaybeRange in_type(const MaybeRange& r, DType t);

// Of a node's first result, given its operands' ranges, by its op's hook. Operands that are not
// known are taken for finite, and for other than 0 where they divide 0: see whether that will do.
MaybeRange range_of(const Node& n, std::span<const MaybeRange> operands);

// The hooks. Operations are those on real numbers and infinities; range_of() sees to the type.
namespace ranges {

MaybeRange of_operand(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_neg(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_exp(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_not(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_add(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_sub(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_mul(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_div(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_min(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_max(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_and(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_or(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_lt(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_le(const Node& n, std::span<const MaybeRange> x);
MaybeRange of_select(const Node& n, std::span<const MaybeRange> x);

}  // namespace ranges
}  // namespace lathe
