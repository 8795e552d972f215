// What a kernel's instructions and indices depend on: where each can be evaluated, and how it
// varies across a tile.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "ir/kernel.h"

namespace lathe::codegen {

// A set of ivs (bit = symbol id), closed over derived symbols and arguments.
using IvSet = uint64_t;
inline constexpr int kMaxIvs = 60;
inline constexpr IvSet kAcc = IvSet{1} << 63;     // reads an accumulator
inline constexpr IvSet kPinned = IvSet{1} << 62;  // reads memory that the kernel writes

constexpr IvSet iv_bit(SymbolId s) { return s < 0 ? 0 : IvSet{1} << s; }

struct Range {
  int64_t low, high;  // both inclusive
};

struct Analysis {
  // Precondition: k has at most kMaxIvs ivs and no empty extent in `par`.
  explicit Analysis(const Kernel& k);

  IvSet of(const IndexExpr& e) const;
  IvSet of(const Access& a) const;
  Range range(const IndexExpr& e) const;

  const Kernel& k;
  std::vector<IvSet> symbols, guards, instrs;
  std::vector<Range> ranges;  // of symbols
};

}  // namespace lathe::codegen
