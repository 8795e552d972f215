#include "backends/select.h"

#include <array>
#include <atomic>
#include <cstdio>

#include "backends/native.h"
#include "backends/reference/interpreter.h"
#include "backends/simd/simd.h"
#include "runtime/options.h"

namespace lathe {
namespace {

constexpr std::string_view kNames[] = {"auto", "llvm", "simd", "interpreter"};

CompiledKernel with_simd(const Kernel& k, const KernelSchedule& s, const Target& target,
                         const OnFallback& on_fallback) {
  Result<CompiledKernel> built = simd_kernel(k, s, target);
  if (built) return *std::move(built);
  on_fallback({Backend::Simd, Backend::Interpreter, fmt::format("{}: {}", k.label, built.error())});
  return interpret_kernel(k, s, target).value();
}

}  // namespace

void explain_dispatch(const std::string& message) {
  if (options().explains("dispatch")) fmt::print(stderr, "dispatch: {}\n", message);
}

std::optional<Backend> parse_backend(std::string_view text) {
  for (size_t i = 0; i < std::size(kNames); ++i)
    if (kNames[i] == text) return static_cast<Backend>(i);
  return std::nullopt;
}

std::string_view name(Backend b) { return kNames[static_cast<size_t>(b)]; }

void warn_of_fallback(const Fallback& f) {
  static std::array<std::atomic_flag, std::size(kNames)> told;
  if (told[static_cast<size_t>(f.from)].test_and_set()) return;
  fmt::print(stderr,
             "lathe: warning: {1} runs what {0} cannot, and more slowly: {2}. `lathe doctor` shows "
             "the state of {0}; --backend {1} (CompileOptions::backend) chooses {1} without this "
             "line\n",
             name(f.from), name(f.to), f.reason);
}

std::vector<CompiledKernel> select_kernels(const Program& p, const Target& target, Backend backend,
                                           int threads, const OnFallback& on_fallback) {
  const OnFallback tell = on_fallback ? on_fallback : warn_of_fallback;
  if (backend == Backend::Auto || backend == Backend::Llvm) {
    auto compiled =
        compile_native(kernel_jobs(p.kernels, p.schedules), target, native_options(threads));
    if (compiled) {
      for (size_t i = 0; i < p.kernels.size(); ++i)
        explain_dispatch(fmt::format("{}: {}", p.kernels[i].label, (*compiled)[i].implementation));
      return *std::move(compiled);
    }
    if (backend == Backend::Llvm) fail("the llvm backend cannot be used: {}", compiled.error());
    tell({Backend::Llvm, Backend::Simd, compiled.error()});
  }
  std::vector<CompiledKernel> out;
  for (size_t i = 0; i < p.kernels.size(); ++i) {
    const Kernel& k = p.kernels[i];
    const KernelSchedule& s = p.schedules[i];
    out.push_back(backend == Backend::Interpreter ? interpret_kernel(k, s, target).value()
                                                  : with_simd(k, s, target, tell));
    explain_dispatch(fmt::format("{}: {}", k.label, out.back().implementation));
  }
  return out;
}

}  // namespace lathe
