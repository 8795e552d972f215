// A whole kernel as an LLVM function.
#pragma once

#include <iterator>
#include <string>

#include "backends/llvm/analysis.h"
#include "backends/llvm/code_target.h"
#include "backends/llvm/llvm_headers.h"
#include "ir/base/error.h"
#include "ir/kernel.h"

namespace lathe::codegen {

// Defines `symbol` with the signature KernelFn in `module`. Gives the name of the method, such as
// "contract 8x32"; a failure says what is not supported.
Result<std::string> emit_kernel(llvm::Module& module, const Kernel& k, const KernelSchedule& s,
                                const CodeTarget& target, const std::string& symbol);

// The two methods. `f` is the kernel's function, empty; its arguments are args, begin, end,
// context.
std::string emit_nest(llvm::Function* f, const Analysis& a, const KernelSchedule& s,
                      const CodeTarget& target);
// Empty where the kernel is not a contraction with a register tile.
std::string emit_contraction(llvm::Function* f, const Analysis& a, const KernelSchedule& s,
                             const CodeTarget& target);

// A function with the attributes that all of our code has.
llvm::Function* make_function(llvm::Module& module, llvm::FunctionType* type,
                              const std::string& symbol, bool internal, const CodeTarget& target);

// Whether what follows the sums is better run row by row over a stored tile (Emitter::finish_rows).
inline bool long_epilogue(const Kernel& k) { return std::ssize(k.body) - k.pre > 12; }

// Lanes of the vectors that fit the target's registers, for the narrowest of the types that the
// kernel computes with (4 or 8 bytes).
int vector_lanes(const Kernel& k, const CodeTarget& target);

}  // namespace lathe::codegen
