// How a contraction is cut into register tiles and panels.
#pragma once

#include <optional>

#include "backends/llvm/dot.h"
#include "backends/llvm/emitter.h"

namespace lathe::codegen {

// acc[m, n] = fma(a[m, k], b[k, n], acc): `n` runs along the lanes, `m` along the rows of a tile.
struct ContractPlan {
  SymbolId m = -1;  // -1: nothing varies in `a` alone, tiles have one row
  SymbolId n = -1;
  ScalarId b = -1;              // the pre instruction whose value varies along n
  std::vector<SymbolId> outer;  // parallel ivs around everything: both factors vary in them
  std::vector<SymbolId> walks;  // around the panels of b: b alone varies in them
  std::vector<SymbolId> inner;  // the others; a panel is used again at each of their points
  int rows = 1, parts = 1, lanes = 1;
  int tall = 1;         // rows of tiles one vector wide
  bool halves = false;  // half a vector costs half as much
  int unroll = 1;
  int64_t steps = 0;             // of the outermost reduction iv at a time; 0: all
  int64_t block = 1;             // rows between two changes of the panel: what of `a` stays in L2
  bool defer_a = false;          // `a` is a plain load in the innermost loop
  bool pack = false;             // copy each panel [k][parts * lanes] of b to a scratch first
  bool rows_in_memory = false;   // run the epilogue row by row over the stored tile
  int64_t columns = 0;           // of a block whose sums wait in memory while its steps pass
  const DotForm* dot = nullptr;  // of a kernel that group_steps made
  int width() const { return parts * lanes; }
  int row_elements() const { return width() * (dot ? dot->group : 1); }  // of a panel of b
};

// Nothing where the kernel is not such a contraction. `dot`: of a kernel that group_steps made.
std::optional<ContractPlan> plan_contraction(const Analysis& a, const KernelSchedule& s,
                                             const CodeTarget& target, const DotForm* dot);

// Whether a guard varies in the innermost reduction iv: images whose channels come first.
bool guards_last_step(const Analysis& a);

// `k` with its outermost reduction iv cut into blocks of `steps`: which block is one more parallel
// iv, the last, and the reduction runs over one block.
// Precondition: steps divides the iv's extent.
Kernel cut_reduction(const Kernel& k, int64_t steps);

// The kernel that copies a panel of b: its last operand is the scratch, whose offset the caller
// redirects.
Kernel pack_kernel(const Kernel& k, ScalarId b);

// Whether the panels of b, which plan_contraction packs, have the reduction along memory; then this
// emits the copy instead, at the builder of `e`. `pars`: the parallel ivs' values.
bool packs_by_transposing(const Kernel& k, ScalarId b, SymbolId n);
void emit_transposing_pack(Emitter& e, const Kernel& k, ScalarId b, const Tile& tile,
                           llvm::Value* args, llvm::Value* panel,
                           const std::vector<llvm::Value*>& pars);

// Where both copies begin: the operand's pointer, and an offset at the parallel ivs' values.
llvm::Value* operand_at(Emitter& e, llvm::Value* args, int32_t operand);
llvm::Value* offset_at(Emitter& e, const IndexExpr& offset, const std::vector<llvm::Value*>& pars);

// The copy of a panel of a kernel that group_steps made.
void emit_group_pack(Emitter& e, const Kernel& k, const DotForm& form, const Tile& tile,
                     llvm::Value* args, llvm::Value* panel, const std::vector<llvm::Value*>& pars);

// Offset in a panel of the first lane at a reduction point; `width`: elements of its rows.
IndexExpr panel_offset(const Kernel& k, int64_t width);

}  // namespace lathe::codegen
