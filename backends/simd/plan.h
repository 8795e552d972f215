// A kernel compiled for the tile VM: lists of steps, each one loop over a tile of the vector iv.
//
// The vector iv is a parallel one, or the last reduction iv of a Reduce. Values that do not depend
// on it are uniform: one element, computed by the same loops with n = 1. Values are computed as
// rarely as their dependences allow:
//
//   call { row: other parallel ivs { tile: vector iv { step: reduction ivs { } post, stores } } }
//
// and, where the vector iv is the last reduction iv,
//
//   call { row: parallel ivs { step: outer reduction ivs, vector iv { } post, stores } }
#pragma once

#include <array>
#include <vector>

#include "backends/simd/canonical.h"
#include "backends/simd/table.h"

namespace lathe::simd {

enum class Level : uint8_t { Call, Row, Tile, Step, Post };
inline constexpr int kLevels = 5;

using Reg = int32_t;

inline constexpr int kMostKept = 4;

// An index along a tile: constant + terms (the vector iv at the tile's start) + element * step
// + scalars[0] * factor + tiles[element] * factor. Registers hold i64.
struct TileIndex {
  struct Product {
    Reg reg;
    int64_t factor;
  };
  int64_t constant = 0;
  std::vector<IndexTerm> terms;
  int64_t step = 0;
  std::vector<Product> scalars, tiles;
};

struct TileGuard {
  TileIndex index;
  int64_t limit, multiple_of;
  bool interval;  // true on one run of elements; otherwise tested element by element
};

struct TileAccess {
  int32_t operand = 0;
  int bytes = 0;  // of an element in memory
  TileIndex offset;
  TileFn convert = nullptr;  // 16-bit floats: storage to f32
  bool direct = false;       // a unit-stride tile may be used where it lies
  std::vector<int32_t> guards;
};

struct TileStep {
  enum class Kind : uint8_t {
    Compute,
    Splat,
    Load,
    Index,
    GuardTest,
    DeriveScalar,
    DeriveTile,
    Chain
  };
  Kind kind = Kind::Compute;
  bool varying = false;  // a whole tile; otherwise one element
  uint8_t bytes = 0;     // Splat: of an element
  TileFn fn = nullptr;   // Compute; Index: from i64
  Reg out = -1;
  Reg in[3] = {-1, -1, -1};
  int32_t item =
      -1;  // Load: access; Index: index; GuardTest: guards; Derive: derived; Chain: chain
  std::array<LinkOp, 3> links = {};  // Compute: what it is in a chain of which in[i] is the value
  // Load that is the same for all rows: which of Run's kept ones it is. What it spreads over a tile
  // of several rows stays in its register for the next tile.
  int kept = -1;
};

struct PlanLink {
  LinkOp op;
  Reg operands[2];  // other than the running value
  bool varying[2];
};

struct TileFold {
  TileFn tile = nullptr;   // the vector iv is parallel: acc tile op= value tile
  FoldFn along = nullptr;  // the vector iv is the reduction
  TileFn join = nullptr;   // lane with lane
  bool fma = false;
  bool flush = false;  // subnormals are zero: runs in a FlushScope
  Reg acc = -1, a = -1, b = -1;
  int bytes = 0;
  uint64_t identity = 0;
};

struct TileStore {
  TileAccess access;
  bool varying = false;
  Reg value = -1;
  TileFn convert = nullptr;  // value to storage; null: the same bytes
  TileFn combine = nullptr;  // with memory, in the compute type
  bool in_place = false;     // the last step's result, which it can write where it is stored
};

struct DerivedPlan {
  TileIndex numerator;
  int64_t divisor;
  SymbolId symbol;
};

struct Register {
  int bytes = 0;
  bool varying = false;
  int64_t lanes = 1;      // accumulators: lanes kept one after the other
  bool constant = false;  // `offset` is in Plan::constants, otherwise in the scratch
  bool external = false;  // set by whoever runs the plan
  int64_t offset = -1;
};

struct Plan {
  Kernel k;
  int parallel = -1;
  int64_t scale = 1;
  SymbolId vector = -1;  // -1: no iv to vectorise along, tiles of one element
  bool along_reduction = false;
  int64_t tile = 1;  // elements
  // What follows a reduction done elsewhere is the same for every row: loads, element by element
  // computation, stores of whole tiles. Rows shorter than a tile may then share one.
  bool joins_rows = false;
  std::vector<TileStep> lists[kLevels];
  std::vector<TileFold> folds;
  std::vector<TileStore> stores;
  std::vector<TileAccess> accesses;
  std::vector<TileIndex> indices;
  std::vector<TileGuard> guards;
  std::vector<std::vector<int32_t>> guard_tests;
  std::vector<DerivedPlan> derived;
  std::vector<std::vector<PlanLink>> chains;
  ChainFn chain = nullptr;
  std::vector<Register> registers;
  std::vector<uint64_t> constants;
  int64_t scratch_bytes = 0;                        // registers
  int64_t offsets_at = 0, mask_at = 0, raw_at = 0;  // work space of loads and stores

  const std::vector<TileStep>& list(Level l) const { return lists[static_cast<int>(l)]; }
};

// `vector`: the iv to vectorise along, or -1 to choose. `external_accumulators`: reduction is done
// elsewhere, the plan holds only what follows it and the caller points the accumulators' registers
// (Plan::folds) at its results.
Plan make_plan(Canonical c, const Table& table, SymbolId vector, bool external_accumulators);

// The iv along which tiles are cheapest; -1 if there is none.
SymbolId choose_vector(const Kernel& k, int parallel);

}  // namespace lathe::simd
