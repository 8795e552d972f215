// Machine code of kernels, linked once and run wherever it is mapped: what LLVM makes, what the
// cache keeps, what a process loads without LLVM.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"

namespace lathe {

inline constexpr uint64_t kCodePage = 4096;

struct KernelCode {
  std::string method;       // as the emitter chose it, such as "llvm/contract 8x32"
  std::string bytes;        // position independent: code, and from `code_bytes` on its constants
  uint64_t code_bytes = 0;  // a multiple of kCodePage
  uint64_t entry = 0;       // offset of the KernelFn
};

// One mapping for all of them, executable and no longer writable; each kernel keeps it. Errors: no
// memory for it, or a system that allows no executable memory.
Result<std::vector<CompiledKernel>> map_code(std::span<const KernelCode* const> kernels);

}  // namespace lathe
