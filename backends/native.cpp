#include "backends/native.h"

#include <algorithm>
#include <map>
#include <thread>

#include "backends/code_cache.h"
#include "ir/kernel_text.h"
#include "runtime/options.h"

namespace lathe {
namespace {

// What determines the code besides kernel and schedule: the target, and the build of the backend.
std::string build_identity(const Target& t, const LlvmOptions& llvm) {
  return fmt::format("{} isa {} instructions {} vnni {} bf16 {} l2 {}\n",
                     LlvmBackend::build_identity(), name(t.isa), name(llvm.instructions), t.vnni,
                     t.bf16, t.l2_bytes);
}

}  // namespace

NativeOptions native_options(int threads) {
  NativeOptions out;
  out.threads = threads;
  out.cache_dir = options().cache_dir;
  return out;
}

std::vector<KernelJob> kernel_jobs(std::span<const Kernel> kernels,
                                   std::span<const KernelSchedule> schedules) {
  std::vector<KernelJob> out;
  for (size_t i = 0; i < kernels.size(); ++i)
    out.push_back({&kernels[i], schedules[i], fmt::format("kernel{}", i)});
  return out;
}

NativeKernels::NativeKernels(std::span<const KernelJob> jobs, const Target& target,
                             NativeOptions options)
    : target_(target), options_(std::move(options)) {
  const std::string build = build_identity(target, options_.llvm);
  const CodeCache cache(options_.cache_dir, options_.cache_limit);
  std::map<std::string, size_t> known;
  for (const KernelJob& job : jobs) {
    std::string identity = build + print_schedule(job.schedule) + "\n" + print_kernel(*job.kernel);
    const auto [at, fresh] = known.try_emplace(std::move(identity), units_.size());
    if (fresh) units_.push_back({job, at->first, cache.find(at->first), {}});
    unit_of_job_.push_back(at->second);
  }
}

bool NativeKernels::complete() const {
  return std::ranges::all_of(units_, [](const Unit& u) { return u.code.has_value(); });
}

// Kernels are dealt to threads as they become free.
void NativeKernels::work(LlvmBackend& llvm, const std::stop_token& stop) {
  const CodeCache cache(options_.cache_dir, options_.cache_limit);
  std::unique_ptr<KernelCompiler> compiler;
  for (size_t i = next_++; i < units_.size() && !stop.stop_requested(); i = next_++) {
    Unit& unit = units_[i];
    if (unit.code) continue;
    if (!compiler) compiler = llvm.compiler(target_, options_.llvm);
    Result<KernelCode> code = compiler->compile(unit.job);
    if (code) {
      cache.keep(unit.identity, *code);
      unit.code = *std::move(code);
    } else {
      unit.error = code.error();
    }
  }
}

Result<bool> NativeKernels::compile(std::stop_token stop) {
  if (complete()) return true;
  const Result<LlvmBackend*> llvm = LlvmBackend::open();
  if (!llvm) return Failure{llvm.error()};
  {
    const auto missing = std::ranges::count_if(units_, [](const Unit& u) { return !u.code; });
    const auto threads = std::clamp<ptrdiff_t>(options_.threads, 1, missing);
    next_ = 0;
    std::vector<std::jthread> helpers;
    for (ptrdiff_t i = 1; i < threads; ++i) helpers.emplace_back([&] { work(**llvm, stop); });
    work(**llvm, stop);
  }
  CodeCache(options_.cache_dir, options_.cache_limit).trim();
  for (const Unit& unit : units_)
    if (!unit.error.empty()) return Failure{unit.error};
  return complete();
}

Result<std::vector<CompiledKernel>> NativeKernels::map() const {
  std::vector<const KernelCode*> codes;
  for (const Unit& unit : units_) codes.push_back(&unit.code.value());
  Result<std::vector<CompiledKernel>> mapped = map_code(codes);
  if (!mapped) return mapped;
  std::vector<CompiledKernel> out;
  for (const size_t unit : unit_of_job_) out.push_back((*mapped)[unit]);
  return out;
}

Result<std::vector<CompiledKernel>> compile_native(std::span<const KernelJob> jobs,
                                                   const Target& target,
                                                   const NativeOptions& options) {
  NativeKernels kernels(jobs, target, options);
  if (const Result<bool> done = kernels.compile(); !done) return Failure{done.error()};
  return kernels.map();
}

}  // namespace lathe
