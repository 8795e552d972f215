#include "backends/tiered.h"

#include <sys/resource.h>
#include <unistd.h>

#include <mutex>
#include <thread>

#include "backends/native.h"
#include "runtime/cpu.h"

namespace lathe {
namespace {

// Of compiling threads beside those that compute.
constexpr int kNiceness = 10;

// Kernels on their way from LLVM, on a thread of their own.
class Pending {
 public:
  Pending(const Program& p, const CompileOptions& options)
      : kernels_(p.kernels),
        native_(kernel_jobs(kernels_, p.schedules), options.target,
                native_options(thread_count(options.threads))),
        on_fallback_(options.on_fallback ? options.on_fallback : warn_of_fallback) {}

  bool complete() const { return native_.complete(); }
  Result<std::vector<CompiledKernel>> map() const { return native_.map(); }

  void start() {
    thread_ = std::jthread([this](const std::stop_token& stop) { work(stop); });
  }

  std::optional<std::vector<KernelFunction>> take(bool wait) {
    if (!wait && !done_.load(std::memory_order_acquire)) return std::nullopt;
    if (thread_.joinable()) thread_.join();
    std::vector<KernelFunction> out;
    if (!result_) {
      on_fallback_({Backend::Llvm, Backend::Simd, result_.error()});
      return out;
    }
    for (size_t i = 0; i < kernels_.size(); ++i) {
      CompiledKernel& k = (*result_)[i];
      out.push_back({k.fn, k.context, kernel_name(kernels_[i], k), std::move(k.keep)});
    }
    return out;
  }

 private:
  void work(const std::stop_token& stop) {
    // On Linux of the thread and those it starts. That it is allowed to be slower needs no
    // permission.
    setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNiceness);
    static std::mutex one_at_a_time;  // each uses all CPUs
    const std::lock_guard lock(one_at_a_time);
    const Result<bool> compiled = native_.compile(stop);
    if (!compiled) result_ = Failure{compiled.error()};
    else if (*compiled) result_ = native_.map();
    done_.store(true, std::memory_order_release);
  }

  std::vector<Kernel> kernels_;
  NativeKernels native_;
  OnFallback on_fallback_;
  Result<std::vector<CompiledKernel>> result_ = failure("compiling was stopped");
  std::atomic<bool> done_{false};
  std::jthread thread_;  // stops and is joined before the rest goes
};

}  // namespace

bool may_tier(const CompileOptions& options) {
  return options.backend == Backend::Auto && !options.wait_compile && options.target.has_fma() &&
         !LlvmBackend::build_identity().empty();
}

std::unique_ptr<Executable> start_tiered(const Program& p, const CompileOptions& options,
                                         std::shared_ptr<ThreadPool> pool) {
  const auto pending = std::make_shared<Pending>(p, options);
  if (pending->complete()) {
    if (auto mapped = pending->map()) {
      explain_dispatch(fmt::format("all {} kernels from the cache", p.kernels.size()));
      return make_executable(p, *std::move(mapped), std::move(pool), options.arena);
    }
  }
  auto executable =
      make_executable(p, select_kernels(p, options.target, Backend::Simd, 1, options.on_fallback),
                      std::move(pool), options.arena);
  explain_dispatch(fmt::format("{} kernels begin on xsimd while LLVM compiles", p.kernels.size()));
  pending->start();
  executable->replace_kernels([pending](bool wait) { return pending->take(wait); });
  return executable;
}

}  // namespace lathe
