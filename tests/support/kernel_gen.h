// Random kernels: every core, type, scalar (after expansion) and kind of access that the verifier
// admits, at sizes that make vectors, tails and tiles all happen (extents 1 to 70, a few thousand
// points).
#pragma once

#include <vector>

#include "ir/base/tensor.h"
#include "ir/kernel.h"

namespace lathe {

struct KernelCase {
  Kernel kernel;  // verifies as Expanded; the label holds the seed
  KernelSchedule schedule;
  // Operand i. Floats hold small values, sometimes zeros of both signs, infinities, NaNs and
  // subnormals; what outputs hold before the run matters where not all of them is written.
  std::vector<Tensor> tensors;
};

// The same case for the same seed, always.
KernelCase random_kernel(uint64_t seed);
// Another schedule for the same kernel.
KernelSchedule random_schedule(const Kernel& k, uint64_t seed);
// Copies that a run may overwrite.
std::vector<Tensor> clone_all(const std::vector<Tensor>& tensors);

}  // namespace lathe
