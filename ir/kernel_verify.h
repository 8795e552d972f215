// What a well-formed kernel is. Backends and the interpreter rely on all of it; above all, no
// verified kernel touches memory outside its operands.
#pragma once

#include "ir/base/error.h"
#include "ir/kernel.h"

namespace lathe {

enum class KernelStage {
  Lowered,   // straight from ir/ops: may hold scalars of class `expanded`
  Expanded,  // after passes/expand_math: machine scalars only, ready for a backend
};

// True, or the first broken invariant with its label, such as "[kernel-3] %4 = add: ..". The list
// of invariants opens ir/kernel_verify.cpp.
Result<bool> verify_kernel(const Kernel& k, KernelStage stage);

// Likewise for a schedule of this kernel: ivs in range, grain and tiles sensible.
Result<bool> verify_schedule(const Kernel& k, const KernelSchedule& s);

}  // namespace lathe
