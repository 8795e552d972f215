// What liblathe_llvm.so offers the loader in llvm_module.cpp. Both sides come from one build, so
// C++ types may cross; `version` catches a stale module.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "backends/llvm_module.h"
#include "ir/base/error.h"

namespace lathe {

// The sizes notice a module that was built against other headers.
inline constexpr int kLlvmTableVersion =
    1'000'000 +
    static_cast<int>(sizeof(Kernel) + sizeof(KernelJob) * 31 + sizeof(LlvmOptions) * 37);
inline constexpr const char* kLlvmTableSymbol = "lathe_llvm_table";

struct LlvmTable {
  int version;
  const char* llvm_version;
  std::unique_ptr<KernelCompiler> (*compiler)(const Target&, const LlvmOptions&);
  Result<std::string> (*emit)(std::span<const KernelJob>, const Target&, EmitKind,
                              const LlvmOptions&);
  Result<CpuTarget> (*find_cpu)(const std::string& triple, const std::string& cpu);
};

}  // namespace lathe
