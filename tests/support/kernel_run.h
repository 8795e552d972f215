// Runs one compiled kernel on tensors, as the program runner would.
#pragma once

#include <vector>

#include "backends/backend.h"
#include "ir/base/tensor.h"

namespace lathe {

// Calls `compiled` over all of the kernel, in chunks of the schedule's grain dealt to `threads`
// threads in turn (1: on this thread). tensors[i] is operand i and holds at least its size.
void run_kernel(const CompiledKernel& compiled, const Kernel& k, const KernelSchedule& s,
                std::vector<Tensor>& tensors, int threads = 1);

// One of each ISA that this CPU has.
std::vector<Target> targets();

// Index of the first element whose bits differ, NaNs being equal to each other; -1 if none does.
// Preconditions: same type and dims.
int64_t first_difference(const Tensor& a, const Tensor& b);

}  // namespace lathe
