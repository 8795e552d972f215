// What a backend makes of a kernel.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/target.h"
#include "ir/kernel.h"
#include "runtime/kernel_abi.h"

namespace lathe {

// A runnable kernel: call fn(args, begin, end, context); `keep` owns code and context.
struct CompiledKernel {
  KernelFn fn = nullptr;
  const void* context = nullptr;
  std::shared_ptr<const void> keep;
  std::string implementation;  // such as "llvm/contract 8x32", for reports
};

// Each backend offers this signature. A refusal gives its reason; it is not an error, the next
// backend in the list of select.cpp is asked.
// Preconditions: the kernel passes verify_kernel(k, KernelStage::Expanded).
//   backends/reference/interpreter.h   interpret_kernel   (accepts everything)
//   backends/simd/simd.h               simd_kernel        (accepts everything)
//   backends/llvm/llvm_backend.h       compiles many kernels in one call
using BuildKernel = Result<CompiledKernel> (*)(const Kernel& k, const KernelSchedule& s,
                                               const Target& target);

}  // namespace lathe
