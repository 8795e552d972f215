#include "backends/select.h"

#include <cstdio>

#include "backends/llvm_module.h"
#include "backends/reference/interpreter.h"
#include "backends/simd/simd.h"
#include "runtime/options.h"

namespace lathe {
namespace {

constexpr std::string_view kNames[] = {"auto", "llvm", "simd", "interpreter"};

void explain(const std::string& message) {
  if (options().explains("dispatch")) fmt::print(stderr, "dispatch: {}\n", message);
}

Result<std::vector<CompiledKernel>> with_llvm(const Program& p, const Target& target, int threads) {
  Result<LlvmBackend*> llvm = LlvmBackend::open();
  if (!llvm) return Failure{llvm.error()};
  std::vector<KernelJob> jobs;
  for (size_t i = 0; i < p.kernels.size(); ++i)
    jobs.push_back({&p.kernels[i], p.schedules[i], fmt::format("kernel{}", i)});
  LlvmOptions llvm_options;
  llvm_options.threads = threads;
  llvm_options.cache_dir = options().cache_dir;
  return (*llvm)->compile(jobs, target, llvm_options);
}

CompiledKernel with_library(const Kernel& k, const KernelSchedule& s, const Target& target,
                            bool simd) {
  if (simd) {
    Result<CompiledKernel> built = simd_kernel(k, s, target);
    if (built) return *std::move(built);
    explain(fmt::format("xsimd refuses {}: {}", k.label, built.error()));
  }
  return interpret_kernel(k, s, target).value();
}

}  // namespace

std::optional<Backend> parse_backend(std::string_view text) {
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == text) return static_cast<Backend>(i);
  return std::nullopt;
}

std::string_view name(Backend b) { return kNames[static_cast<size_t>(b)]; }

std::vector<CompiledKernel> select_kernels(const Program& p, const Target& target, Backend backend,
                                           int threads) {
  if (backend == Backend::Auto || backend == Backend::Llvm) {
    auto compiled = with_llvm(p, target, threads);
    if (compiled) return *std::move(compiled);
    if (backend == Backend::Llvm) fail("the llvm backend cannot be used: {}", compiled.error());
    explain("llvm is passed over: " + compiled.error());
  }
  std::vector<CompiledKernel> out;
  for (size_t i = 0; i < p.kernels.size(); ++i) {
    out.push_back(
        with_library(p.kernels[i], p.schedules[i], target, backend != Backend::Interpreter));
    explain(fmt::format("{}: {}", p.kernels[i].label, out.back().implementation));
  }
  return out;
}

}  // namespace lathe
