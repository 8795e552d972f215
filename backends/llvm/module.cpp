// What the loader sees of this module: one table.
#include "backends/llvm/kernel.h"
#include "backends/llvm/link.h"
#include "backends/llvm/machine.h"
#include "backends/llvm_table.h"

namespace lathe {
namespace {

using codegen::CodeTarget;
using codegen::Output;

// The name of the one kernel in an object that is linked at once.
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

class Compiler : public KernelCompiler {
 public:
  explicit Compiler(const CodeTarget& target)
      : target_(target), machine_(codegen::make_machine(target)) {}

  Result<KernelCode> compile(const KernelJob& given) override {
    try {
      KernelJob job = given;
      job.symbol = kCompiledSymbol;
      auto emitted = emit_module(*machine_, {&job, 1}, target_, EmitKind::object);
      if (!emitted) fail("{}", emitted.error());
      KernelCode code = codegen::link_object(emitted->text, kCompiledSymbol);
      code.method = std::move(emitted->methods[0]);
      return code;
    } catch (const std::exception& e) {
      return failure("{}: {}", given.symbol, e.what());
    }
  }

 private:
  CodeTarget target_;
  std::unique_ptr<llvm::TargetMachine> machine_;
};

std::unique_ptr<KernelCompiler> compiler(const Target& machine, const LlvmOptions& options) {
  return std::make_unique<Compiler>(code_target(machine, options));
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

extern "C" __attribute__((visibility("default")))
const lathe::LlvmTable lathe_llvm_table = {lathe::kLlvmTableVersion, LLVM_VERSION_STRING,
                                           &lathe::compiler, &lathe::emit, &lathe::find_cpu};
