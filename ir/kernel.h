// Kernel IR: one loop nest with static extents, the unit that backends compile.
//
//   for every point of the parallel space p0<P0, p1<P1, ..          (any order, any thread)
//     acc[k] = identity
//     for every point of the reduction space r0<R0, r1<R1, ..        (order: see Order)
//       evaluate body[0, pre)        and fold reductions into acc[k]
//     evaluate body[pre, end)        (Acc reads acc[k])
//     stores
//
// By `core`:
//   Map         no reduction space; pre = 0.
//   Reduce      as above. A single reduction by Fma or FmaFlush is a contraction.
//   Cumulative  the body's second part and the stores run at every reduction point, after folding;
//               they may use reduction indices and values of the first part. `exclusive` runs them
//               before folding (and after the first part).
//   Scatter     no accumulators; pre = all of the body; stores run at every reduction point, in
//               order, and combine with memory by `Store::combine`. Distinct parallel points never
//               touch the same element.
// In a Reduce, body[pre, end) and the stores use no value of body[0, pre) and no reduction index
// (nor a derived symbol that depends on one). An empty `red` has one point, a zero extent none.
// Combining is always op(accumulator or memory, element), in that order of operands.
//
// Index expressions are affine in the index symbols: parallel ivs, then reduction ivs, then the
// derived symbols, each floor(numerator / divisor) of an earlier expression. `Lanes` fixes the
// order of a sum so that it can be vectorised along the reduction: 32 accumulators, the one at
// (last reduction iv mod 32) takes the element, outer reduction ivs run in sequence; at the end
// lane j is combined with lane j+16, then j+8, j+4, j+2, j+1 (Fma lanes are added), and lane 0 is
// the result. Lane j starts at the identity. Lanes is for Core::Reduce with a nonempty `red` only.
//
// Operands do not overlap in memory, but where a kernel works in place: loads of an InOut operand
// use the very offset of one of its stores, and an In and an Out operand may be one memory if loads
// of the one use the offset of stores to the other, in the part that follows the reductions.
//
// Text form, parsing and verification: ir/kernel_text.h, ir/kernel_verify.h. Equal text means equal
// kernel; caches are keyed by it.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "ir/scalar.h"
#include "ir/type.h"

namespace lathe {

using ScalarId = int32_t;  // index into Kernel::body
using SymbolId = int32_t;
using GuardId = int32_t;

struct IndexTerm {
  SymbolId symbol;
  int64_t coefficient;
  friend bool operator==(const IndexTerm&, const IndexTerm&) = default;
};

// constant + sum of coefficient * symbol; terms sorted by symbol, no zero coefficients.
struct IndexExpr {
  int64_t constant = 0;
  std::vector<IndexTerm> terms;

  IndexExpr() = default;
  IndexExpr(int64_t c) : constant(c) {}
  static IndexExpr symbol(SymbolId s) {
    IndexExpr e;
    e.terms.push_back({s, 1});
    return e;
  }
  bool is_constant() const { return terms.empty(); }
  int64_t coefficient(SymbolId s) const {
    for (const IndexTerm& t : terms)
      if (t.symbol == s) return t.coefficient;
    return 0;
  }
  friend bool operator==(const IndexExpr&, const IndexExpr&) = default;
  friend IndexExpr operator+(const IndexExpr& a, const IndexExpr& b);
  friend IndexExpr operator*(const IndexExpr& a, int64_t factor);
};
IndexExpr operator+(const IndexExpr& a, const IndexExpr& b);
IndexExpr operator*(const IndexExpr& a, int64_t factor);

// A symbol computed from others: floor(numerator / divisor), divisor > 0.
struct DerivedSymbol {
  IndexExpr numerator;
  int64_t divisor = 1;
  friend bool operator==(const DerivedSymbol&, const DerivedSymbol&) = default;
};

// True where 0 <= index < limit and index is a multiple of `multiple_of`.
struct Guard {
  IndexExpr index;
  int64_t limit = 0;
  int64_t multiple_of = 1;
  friend bool operator==(const Guard&, const Guard&) = default;
};

// A data-dependent part of an offset: value * stride. `value` is an integer scalar already limited
// to what keeps the offset inside the operand.
struct IndirectTerm {
  ScalarId value;
  int64_t stride;
  friend bool operator==(const IndirectTerm&, const IndirectTerm&) = default;
};

// An element of an operand: offset in elements.
struct Access {
  int32_t operand = 0;
  IndexExpr offset;
  std::vector<IndirectTerm> indirect;
  friend bool operator==(const Access&, const Access&) = default;
};

// One scalar in SSA form. Which members mean something depends on op:
//   Const: number (floats) or integer.  IndexValue: index, converted to `type`.
//   Load: access; where any guard is false memory is not touched and the value is 0 (nor is the
//   offset computed: it may lie outside the operand). Type: the operand's or its compute type.
//   GuardTest: guards, true where all hold.  Acc: integer = which reduction.
//   Scale2, Cast, Bitcast, Select: as in ir/scalar.h. All other members keep their defaults.
struct Instr {
  Scalar op = Scalar::Const;
  DType type = DType::f32;
  std::array<ScalarId, 3> args = {-1, -1, -1};
  double number = 0;
  int64_t integer = 0;
  IndexExpr index;
  Access access;
  std::vector<GuardId> guards;
};

// How accumulators and scattered stores combine; identities: 0, -inf or MIN, +inf or MAX, 1, ..
// Fma: acc = fma(a, b, acc) (floats), acc + a*b (integers). FmaFlush: the same of f32, where a, b
// and the result count as zero, with their signs, if they are smaller than the least normal number
// (the result after rounding to 24 bits whatever the exponent); it sums in sequence only. Assign is
// for stores only.
enum class Combine : uint8_t { Add, Max, Min, Mul, And, Or, Fma, FmaFlush, Assign };
constexpr bool is_fma(Combine c) { return c == Combine::Fma || c == Combine::FmaFlush; }

// `padded`: steps at which a guard of `a` or `b` fails may be left out. Whoever sets it has shown
// that their products, by the zeros that such loads give, change nothing that is stored
// (passes/mark_padding.h).
struct Reduction {
  Combine combine = Combine::Add;
  DType type = DType::f32;  // of the accumulator; never f16 or bf16
  ScalarId a = -1, b = -1;  // b for Fma and FmaFlush only
  bool padded = false;      // of a Fma, where a or b is a guarded load
};

struct Store {
  Access access;
  ScalarId value = -1;  // of the operand's compute type; rounded where that is f16 or bf16
  Combine combine = Combine::Assign;  // others in a Scatter only; never Fma or FmaFlush
};

enum class OperandRole : uint8_t { In, Out, InOut };

struct Operand {
  DType dtype = DType::f32;
  int64_t size = 0;  // elements reachable from the pointer
  OperandRole role = OperandRole::In;
};

enum class Core : uint8_t { Map, Reduce, Cumulative, Scatter };
enum class Order : uint8_t { Sequential, Lanes };

inline constexpr int kLanes = 32;

struct Kernel {
  std::string label;  // for people: what it came from; not part of the text or the hash
  std::vector<Operand> operands;
  Dims par;
  Dims red;
  std::vector<DerivedSymbol> derived;
  std::vector<Guard> guards;
  Core core = Core::Map;
  Order order = Order::Sequential;
  bool exclusive = false;
  std::vector<Instr> body;
  int32_t pre = 0;  // body[0, pre) is evaluated at every reduction point
  std::vector<Reduction> reductions;
  std::vector<Store> stores;

  int symbol_count() const { return static_cast<int>(par.size() + red.size() + derived.size()); }
  SymbolId red_symbol(int i) const { return static_cast<SymbolId>(par.size()) + i; }
  SymbolId derived_symbol(int i) const {
    return static_cast<SymbolId>(par.size() + red.size()) + i;
  }
  int64_t points() const;  // product of par
  int64_t steps() const;   // product of red
};

// How a backend is to run a kernel; results do not depend on it.
struct KernelSchedule {
  int parallel = -1;               // the parallel iv split among threads; -1: not split
  int64_t grain = 1;               // its values per chunk
  int vector = -1;                 // the iv (symbol id) along which to vectorise; -1: scalar
  int64_t tile_m = 0, tile_n = 0;  // register tile of a contraction, in elements
  // Vectors that a map loads from operand `fetch` (-1: none) also bring what lies `ahead` bytes
  // behind them into the cache, whether or not that is still the operand's.
  int fetch = -1;
  int64_t ahead = 0;
  friend bool operator==(const KernelSchedule&, const KernelSchedule&) = default;
};

int64_t chunk_count(const Kernel& k, const KernelSchedule& s);

}  // namespace lathe
