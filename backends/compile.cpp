#include "backends/compile.h"

#include <exception>
#include <mutex>

#include "backends/tiered.h"
#include "passes/integer_products.h"
#include "passes/pipeline.h"
#include "passes/rebuild.h"
#include "passes/rules.h"
#include "runtime/cpu.h"
#include "runtime/options.h"

namespace lathe {

CompileOptions compile_options() {
  CompileOptions o;
  o.target = detect_cpu().target;
  o.threads = thread_count();
  o.wait_compile = lathe::options().wait_compile;
  return o;
}

namespace {

std::shared_ptr<ThreadPool> pool_of(const CompileOptions& options) {
  return options.pool ? options.pool : std::make_shared<ThreadPool>(thread_count(options.threads));
}

// A pass's work on the threads of a pool, whose chunks must not throw.
ParallelFor parallel_on(std::shared_ptr<ThreadPool> pool) {
  return [pool = std::move(pool)](int64_t n, const std::function<void(int64_t)>& body) {
    std::mutex mutex;
    std::exception_ptr error;
    pool->parallel_for(n, [&](int64_t i, int) {
      try {
        body(i);
      } catch (...) {
        const std::lock_guard lock(mutex);
        error = std::current_exception();
      }
    });
    if (error) std::rethrow_exception(error);
  };
}

}  // namespace

Program compile_program(const Graph& g, const CompileOptions& options) {
  Graph bound = bind_dims(g, options.dims);
  if (options.numerics == Numerics::Fast) bound = quantised_float_products(simplify(bound));
  return compile_to_program(bound, options.target, {}, parallel_on(pool_of(options)));
}

std::unique_ptr<Executable> make_executable(const Program& p, std::vector<CompiledKernel> kernels,
                                            std::shared_ptr<ThreadPool> pool,
                                            std::shared_ptr<Arena> arena) {
  std::vector<KernelEntry> entries;
  std::vector<std::shared_ptr<const void>> keep;
  for (size_t i = 0; i < kernels.size(); ++i) {
    const KernelSchedule& s = p.schedules[i];
    KernelEntry e{kernels[i].fn, kernels[i].context, 1, 1, kernel_name(p.kernels[i], kernels[i])};
    if (s.parallel >= 0) {
      e.extent = p.kernels[i].par[static_cast<size_t>(s.parallel)];
      e.grain = s.grain;
    }
    entries.push_back(std::move(e));
    keep.push_back(std::move(kernels[i].keep));
  }
  return std::make_unique<Executable>(p.plan, std::move(entries), std::move(keep), std::move(pool),
                                      std::move(arena));
}

std::unique_ptr<Executable> make_executable(const Program& p, const CompileOptions& options) {
  const int threads = thread_count(options.threads);
  std::shared_ptr<ThreadPool> pool = pool_of(options);
  if (may_tier(options)) return start_tiered(p, options, std::move(pool));
  return make_executable(
      p, select_kernels(p, options.target, options.backend, threads, options.on_fallback),
      std::move(pool), options.arena);
}

std::string kernel_name(const Kernel& k, const CompiledKernel& compiled) {
  return k.label + " [" + compiled.implementation + "]";
}

std::unique_ptr<Executable> compile(const Graph& g, const CompileOptions& options) {
  CompileOptions shared = options;
  shared.pool = pool_of(options);
  return make_executable(compile_program(g, shared), shared);
}

}  // namespace lathe
