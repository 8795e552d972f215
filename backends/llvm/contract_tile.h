// The innermost functions of a contraction. Their arguments: the kernel's args, the panel of b, the
// sums of the tile, then the parallel ivs.
#pragma once

#include "backends/llvm/contract_plan.h"

namespace lathe::codegen {

inline constexpr size_t kFirstIv = 3;

// What a tile function does: everything, one block of the reduction (the last parallel iv says
// which; the first starts the sums), the epilogue of finished sums, or what the sums of a dot that
// flips signs start at.
enum class Stage : uint8_t { Whole, Sum, End, Columns };

// Levels as every inner function has them: the parallel ivs are arguments.
void prepare_inner(Emitter& e, llvm::Function* f, const Kernel& k, int post_end);

// The body of `f`, which is empty.
void emit_contraction_tile(llvm::Function* f, const Analysis& a, const ContractPlan& plan,
                           const CodeTarget& target, Stage stage, const Tile& tile);

}  // namespace lathe::codegen
