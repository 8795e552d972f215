// What the loader sees of this module: one table.
#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "backends/llvm/kernel.h"
#include "backends/llvm/loader.h"
#include "backends/llvm/machine.h"
#include "backends/llvm/object_cache.h"
#include "backends/llvm_table.h"
#include "ir/kernel_text.h"

namespace lathe {
namespace {

using codegen::CodeTarget;
using codegen::Output;

// The name of the one kernel in an object compiled for this process.
constexpr char kCompiledSymbol[] = "lathe_kernel";

CodeTarget code_target(const Target& machine, const LlvmOptions& options) {
  CodeTarget out;
  static_cast<Target&>(out) = machine;
  out.instructions = options.instructions;
  if (!options.triple.empty()) out.triple = options.triple;
  if (out.instructions == Isa::scalar) out.instructions = machine.isa;
  return out;
}

struct Emitted {
  std::string text;                  // object, assembly or LLVM IR
  std::vector<std::string> methods;  // by job
};

Result<Emitted> emit_module(llvm::TargetMachine& machine, std::span<const KernelJob> jobs,
                            const CodeTarget& target, EmitKind kind) {
  llvm::LLVMContext context;
  llvm::Module module("lathe", context);
  module.setTargetTriple(machine.getTargetTriple().str());
  module.setDataLayout(machine.createDataLayout());
  module.setPICLevel(llvm::PICLevel::BigPIC);
  Emitted out;
  for (const KernelJob& job : jobs) {
    auto how = codegen::emit_kernel(module, *job.kernel, job.schedule, target, job.symbol);
    if (!how) return Failure{how.error()};
    out.methods.push_back("llvm/" + *how);
  }
  std::string complaint;
  llvm::raw_string_ostream stream(complaint);
  LATHE_ASSERT(!llvm::verifyModule(module, &stream), "{}", complaint);
  if (kind == EmitKind::llvm) {
    llvm::raw_string_ostream(out.text) << module;
    return out;
  }
  out.text = codegen::generate(machine, module,
                               kind == EmitKind::object ? Output::object : Output::assembly);
  return out;
}

// What determines an object besides kernel and schedule: the target, and this very build.
std::string build_identity(const CodeTarget& target) {
  Dl_info here;
  struct stat file{};
  if (dladdr(&kCompiledSymbol, &here) && here.dli_fname) stat(here.dli_fname, &file);
  return fmt::format("llvm {} module {} {}.{} isa {} instructions {} l2 {}\n", LLVM_VERSION_STRING,
                     file.st_size, file.st_mtim.tv_sec, file.st_mtim.tv_nsec, name(target.isa),
                     codegen::feature_string(target), target.l2_bytes);
}

// One call of compile(): distinct kernels dealt to threads as they become free.
class Compilation {
 public:
  Compilation(std::span<const KernelJob> jobs, const CodeTarget& target, const LlvmOptions& options)
      : target_(target), cache_(options.cache_dir, options.cache_limit) {
    const std::string build = build_identity(target);
    std::map<std::string, size_t> known;
    for (const KernelJob& job : jobs) {
      std::string identity =
          build + print_schedule(job.schedule) + "\n" + print_kernel(*job.kernel);
      const auto [at, fresh] = known.try_emplace(std::move(identity), units_.size());
      if (fresh) units_.push_back({&job, at->first, {}, {}});
      unit_of_job_.push_back(at->second);
    }
  }

  void work() {
    std::unique_ptr<llvm::TargetMachine> machine;
    for (size_t i = next_++; i < units_.size(); i = next_++) {
      try {
        build(units_[i], machine);
      } catch (const std::exception& e) {
        units_[i].error = fmt::format("{}: {}", units_[i].job->symbol, e.what());
      }
    }
  }

  size_t size() const { return units_.size(); }

  Result<std::vector<CompiledKernel>> finish() {
    if (stored_) cache_.trim();
    std::vector<CompiledKernel> out;
    for (size_t u : unit_of_job_) {
      if (!units_[u].error.empty()) return Failure{units_[u].error};
      out.push_back(units_[u].result);
    }
    return out;
  }

 private:
  struct Unit {
    const KernelJob* job;
    std::string identity;
    CompiledKernel result;
    std::string error;
  };

  void build(Unit& unit, std::unique_ptr<llvm::TargetMachine>& machine) {
    if (auto cached = cache_.find(unit.identity))
      if (load(unit, *cached)) return;
    if (!machine) machine = codegen::make_machine(target_);
    KernelJob job = *unit.job;
    job.symbol = kCompiledSymbol;
    auto emitted = emit_module(*machine, {&job, 1}, target_, EmitKind::object);
    if (!emitted) fail("{}", emitted.error());
    const codegen::CachedObject object{emitted->methods[0], std::move(emitted->text)};
    cache_.keep(unit.identity, object);
    stored_ = true;
    if (!load(unit, object)) fail("cannot load the compiled kernel");
  }

  bool load(Unit& unit, const codegen::CachedObject& object) {
    const std::string symbols[] = {kCompiledSymbol};
    auto loaded = codegen::load_object(object.object, symbols);
    if (!loaded) return false;
    unit.result = {loaded->functions[0], nullptr, loaded->keep, object.method};
    return true;
  }

  const CodeTarget& target_;
  codegen::ObjectCache cache_;
  std::vector<Unit> units_;
  std::vector<size_t> unit_of_job_;
  std::atomic<size_t> next_{0};
  std::atomic<bool> stored_{false};
};

Result<std::vector<CompiledKernel>> compile(std::span<const KernelJob> jobs, const Target& machine,
                                            const LlvmOptions& options) {
  const CodeTarget target = code_target(machine, options);
  Compilation compilation(jobs, target, options);
  {
    const auto threads =
        std::min<size_t>(static_cast<size_t>(std::max(options.threads, 1)), compilation.size());
    std::vector<std::jthread> helpers;
    for (size_t i = 1; i < threads; ++i) helpers.emplace_back([&] { compilation.work(); });
    compilation.work();
  }
  return compilation.finish();
}

Result<std::string> emit(std::span<const KernelJob> jobs, const Target& machine, EmitKind kind,
                         const LlvmOptions& options) {
  const CodeTarget target = code_target(machine, options);
  try {
    auto emitted = emit_module(*codegen::make_machine(target), jobs, target, kind);
    if (!emitted) return failure("LLVM backend: {}", emitted.error());
    return std::move(emitted->text);
  } catch (const std::exception& e) {
    return failure("LLVM backend: {}", e.what());
  }
}

Result<CpuTarget> find_cpu(const std::string& triple, const std::string& cpu) {
  CpuTarget out;
  Result<std::string> found = codegen::find_triple(triple);
  if (!found) return Failure{found.error()};
  out.triple = *std::move(found);
  Result<Target> target = codegen::find_cpu(out.triple, cpu);
  if (!target) return Failure{target.error()};
  out.target = *target;
  return out;
}

}  // namespace
}  // namespace lathe

extern "C" __attribute__((visibility("default"))) const lathe::LlvmTable lathe_llvm_table = {
    lathe::kLlvmTableVersion, LLVM_VERSION_STRING, &lathe::compile, &lathe::emit, &lathe::find_cpu};
