// Kernels as machine code of this process: from the cache on disk, else compiled by LLVM, which is
// loaded only where something is missing.
#pragma once

#include <atomic>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "backends/kernel_code.h"
#include "backends/llvm_module.h"

namespace lathe {

struct NativeOptions {
  int threads = 1;                  // that compile
  std::string cache_dir = "";       // empty: nothing is kept on disk
  int64_t cache_limit = 256 << 20;  // bytes; the longest unused go first
  LlvmOptions llvm = {};
};

// `threads` that compile, and the cache that the environment names.
NativeOptions native_options(int threads);

// Named by their place. The jobs point into `kernels`.
std::vector<KernelJob> kernel_jobs(std::span<const Kernel> kernels,
                                   std::span<const KernelSchedule> schedules);

class NativeKernels {
 public:
  // Looks the jobs up; equal kernels with equal schedules are one. The kernels must outlive this.
  NativeKernels(std::span<const KernelJob> jobs, const Target& target, NativeOptions options);

  bool complete() const;

  // Compiles what is missing and keeps it; false where `stop` was requested before the end. The
  // failure is LLVM's: it cannot be had, or a kernel or the target is not supported.
  Result<bool> compile(std::stop_token stop = {});

  // One for each job, in order. Precondition: complete().
  Result<std::vector<CompiledKernel>> map() const;

 private:
  struct Unit {
    KernelJob job;
    std::string identity;
    std::optional<KernelCode> code;
    std::string error;
  };

  void work(LlvmBackend& llvm, const std::stop_token& stop);

  Target target_;
  NativeOptions options_;
  std::vector<Unit> units_;  // distinct
  std::vector<size_t> unit_of_job_;
  std::atomic<size_t> next_{0};
};

// All of the above at once.
Result<std::vector<CompiledKernel>> compile_native(std::span<const KernelJob> jobs,
                                                   const Target& target,
                                                   const NativeOptions& options = {});

}  // namespace lathe
