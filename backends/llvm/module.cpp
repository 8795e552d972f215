// What the loader sees of this module: one table.
#include <algorithm>
#include <functional>
#include <thread>

#include "backends/llvm/kernel.h"
#include "backends/llvm/loader.h"
#include "backends/llvm/machine.h"
#include "backends/llvm_table.h"

namespace lathe {
namespace {

using codegen::CodeTarget;
using codegen::Output;

CodeTarget code_target(const Target& machine, const LlvmOptions& options) {
  CodeTarget out{machine, options.instructions};
  if (out.instructions == Isa::scalar) out.instructions = machine.isa;
  return out;
}

struct Emitted {
  std::string text;                  // object, assembly or LLVM IR
  std::vector<std::string> methods;  // by job
};

Result<Emitted> emit_module(std::span<const KernelJob> jobs, const CodeTarget& target,
                            EmitKind kind) {
  llvm::LLVMContext context;
  llvm::Module module("lathe", context);
  const auto machine = codegen::make_machine(target);
  module.setTargetTriple(machine->getTargetTriple().str());
  module.setDataLayout(machine->createDataLayout());
  module.setPICLevel(llvm::PICLevel::BigPIC);
  Emitted out;
  for (const KernelJob& job : jobs) {
    auto how = codegen::emit_kernel(module, *job.kernel, job.schedule, target, job.symbol);
    if (!how) return failure("{}: {}", job.symbol, how.error());
    out.methods.push_back("llvm/" + *how);
  }
  std::string complaint;
  llvm::raw_string_ostream stream(complaint);
  LATHE_ASSERT(!llvm::verifyModule(module, &stream), "{}", complaint);
  if (kind == EmitKind::llvm) {
    llvm::raw_string_ostream(out.text) << module;
    return out;
  }
  out.text = codegen::generate(*machine, module,
                               kind == EmitKind::object ? Output::object : Output::assembly);
  return out;
}

Result<std::vector<CompiledKernel>> compile_part(std::span<const KernelJob> jobs,
                                                 const CodeTarget& target) {
  auto emitted = emit_module(jobs, target, EmitKind::object);
  if (!emitted) return Failure{emitted.error()};
  std::vector<std::string> symbols;
  for (const KernelJob& job : jobs) symbols.push_back(job.symbol);
  auto loaded = codegen::load_object(emitted->text, symbols);
  if (!loaded) return Failure{loaded.error()};
  std::vector<CompiledKernel> out;
  for (size_t i = 0; i < jobs.size(); ++i)
    out.push_back({loaded->functions[i], nullptr, loaded->keep, emitted->methods[i]});
  return out;
}

template <class T>
Result<T> caught(const std::function<Result<T>()>& work) {
  try {
    return work();
  } catch (const std::exception& e) {
    return failure("LLVM backend: {}", e.what());
  }
}

// Contiguous shares of the jobs, one object a thread.
Result<std::vector<CompiledKernel>> compile(std::span<const KernelJob> jobs, const Target& machine,
                                            const LlvmOptions& options) {
  const CodeTarget target = code_target(machine, options);
  const size_t shares = std::clamp<size_t>(static_cast<size_t>(std::max(options.threads, 1)), 1,
                                           std::max<size_t>(jobs.size(), 1));
  std::vector<Result<std::vector<CompiledKernel>>> results(shares, std::vector<CompiledKernel>());
  const auto share = [&](size_t i) {
    const size_t first = jobs.size() * i / shares, last = jobs.size() * (i + 1) / shares;
    results[i] = caught<std::vector<CompiledKernel>>(
        [&] { return compile_part(jobs.subspan(first, last - first), target); });
  };
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < shares; ++i) threads.emplace_back(share, i);
    share(0);
  }
  std::vector<CompiledKernel> out;
  for (auto& r : results) {
    if (!r) return Failure{r.error()};
    for (CompiledKernel& c : *r) out.push_back(std::move(c));
  }
  return out;
}

Result<std::string> emit(std::span<const KernelJob> jobs, const Target& machine, EmitKind kind,
                         const LlvmOptions& options) {
  const CodeTarget target = code_target(machine, options);
  return caught<std::string>([&]() -> Result<std::string> {
    auto emitted = emit_module(jobs, target, kind);
    if (!emitted) return Failure{emitted.error()};
    return std::move(emitted->text);
  });
}

}  // namespace
}  // namespace lathe

extern "C" __attribute__((visibility("default"))) const lathe::LlvmTable lathe_llvm_table = {
    lathe::kLlvmTableVersion, LLVM_VERSION_STRING, &lathe::compile, &lathe::emit};
