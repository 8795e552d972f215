// The scalar interpreter of Kernel IR: the meaning of a kernel, in the plainest code.
//
// It accepts every kernel that verifies, on every target: Fma is a true fused multiply-add here
// whether or not the machine has the instruction. Offsets that depend on data are checked against
// the operand's size at every access; one outside is an internal error that names the access.
#pragma once

#include "backends/backend.h"

namespace lathe {

Result<CompiledKernel> interpret_kernel(const Kernel& k, const KernelSchedule& s,
                                        const Target& target);

}  // namespace lathe
