// The door to the LLVM backend: loads liblathe_llvm.so when something must first be compiled
// (loading LLVM costs 20 ms and 130 MB) and passes jobs to it. No LLVM headers here.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backends/kernel_code.h"
#include "ir/base/error.h"
#include "ir/base/target.h"
#include "ir/kernel.h"

namespace lathe {

struct LlvmTable;

// A kernel to compile. `symbol` is the function's name in emitted objects: a C identifier, unique
// among the jobs of one call.
struct KernelJob {
  const Kernel* kernel = nullptr;
  KernelSchedule schedule;
  std::string symbol;
};

enum class EmitKind : uint8_t { object, assembly, llvm };

struct LlvmOptions {
  // For tests on lesser machines: code shaped for the target but using these instructions only;
  // scalar: the target's.
  Isa instructions = Isa::scalar;
  std::string triple = "";  // as find_cpu gave it; empty: x86-64 Linux
};

// A machine to emit code for.
struct CpuTarget {
  std::string triple;
  Target target;
};

// Compiles kernels, one at a time.
class KernelCompiler {
 public:
  virtual ~KernelCompiler() = default;
  // A failure means that the kernel or the target is not supported.
  virtual Result<KernelCode> compile(const KernelJob& job) = 0;
};

class LlvmBackend {
 public:
  // Loads the module once a process; thread-safe. It is the file LATHE_LLVM_SO where that is set,
  // else looked for in `module_path` if given, beside the running library or program, in its
  // ../lib, and where it was built. The failure names the places.
  static Result<LlvmBackend*> open(const std::string& module_path = "");

  // The size and time of the file that open() would load: what compiled code depends on besides its
  // kernel and target. Empty where there is none.
  static std::string build_identity();

  // For x86-64. backends/native.h is the way to code that runs in this process.
  std::unique_ptr<KernelCompiler> compiler(const Target& target, const LlvmOptions& options = {});

  // One relocatable, position independent object without undefined symbols (or its text as
  // assembly or LLVM IR) that defines every job's symbol with the signature KernelFn.
  Result<std::string> emit(std::span<const KernelJob> jobs, const Target& target, EmitKind kind,
                           const LlvmOptions& options = {});

  // The CPU `cpu` ("haswell", "x86-64-v3", ..) of `triple`, by LLVM's tables; the least that code
  // is made for where `cpu` is empty. Cache sizes stay at their defaults. A failure names what
  // would do.
  Result<CpuTarget> find_cpu(const std::string& triple, const std::string& cpu);

  const char* llvm_version() const;

 private:
  friend struct LlvmLoader;
  const LlvmTable* table_ = nullptr;
};

}  // namespace lathe
