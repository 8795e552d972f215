// What liblathe_llvm.so offers the loader in llvm_module.cpp. Both sides come from one build, so
// C++ types may cross; `version` catches a stale module.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "backends/backend.h"
#include "backends/llvm_module.h"
#include "ir/base/error.h"

namespace lathe {

inline constexpr int kLlvmTableVersion = 1;
inline constexpr const char* kLlvmTableSymbol = "lathe_llvm_table";

struct LlvmTable {
  int version;
  const char* llvm_version;
  Result<std::vector<CompiledKernel>> (*compile)(std::span<const KernelJob>, const Target&,
                                                 const LlvmOptions&);
  Result<std::string> (*emit)(std::span<const KernelJob>, const Target&, EmitKind,
                              const LlvmOptions&);
};

}  // namespace lathe
