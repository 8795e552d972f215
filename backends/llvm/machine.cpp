#include "backends/llvm/machine.h"

#include <mutex>

#include "ir/base/error.h"

namespace lathe::codegen {

namespace {

constexpr Isa kVectorIsas[] = {Isa::avx512, Isa::avx2, Isa::sse42};

void initialize_x86() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    // A quarter of the compile time, and our address arithmetic is already what it would make.
    auto& known = llvm::cl::getRegisteredOptions();
    if (const auto lsr = known.find("disable-lsr"); lsr != known.end())
      static_cast<llvm::cl::opt<bool>*>(lsr->second)->setValue(true);
  });
}

void initialize_aarch64() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
  });
}

const llvm::Target& find_target(const CodeTarget& target) {
  target.is_x86() ? initialize_x86() : initialize_aarch64();
  std::string error;
  const llvm::Target* found = llvm::TargetRegistry::lookupTarget(target.triple, error);
  LATHE_ASSERT(found, "{}", error);
  return *found;
}

std::string unknown_cpu(const llvm::MCSubtargetInfo& info, llvm::StringRef cpu) {
  constexpr unsigned kSlips = 4;
  std::string near;
  unsigned least = kSlips;
  for (const auto& known : info.getAllProcessorDescriptions()) {
    const unsigned distance = cpu.edit_distance(known.Key, true, kSlips);
    if (distance >= least) continue;
    least = distance;
    near = known.Key;
  }
  return fmt::format("LLVM knows no CPU called '{}'{}", cpu.str(),
                     near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

}  // namespace

std::string feature_string(const CodeTarget& target) {
  if (!target.is_x86()) return "+neon";
  switch (target.instructions) {
    case Isa::scalar:
    case Isa::sse42: return "+sse4.2";
    case Isa::avx2: return "+avx2,+fma,+f16c,+bmi,+bmi2";
    case Isa::avx512: {
      std::string out = "+avx2,+fma,+f16c,+bmi,+bmi2,+avx512f,+avx512bw,+avx512dq,+avx512vl";
      if (target.vnni) out += ",+avx512vnni";
      if (target.bf16) out += ",+avx512bf16";
      return out;
    }
  }
  __builtin_unreachable();
}

const char* base_cpu(const CodeTarget& target) { return target.is_x86() ? "x86-64" : "generic"; }

Result<std::string> find_triple(const std::string& text) {
  const llvm::Triple triple(llvm::Triple::normalize(text));
  const bool known =
      triple.getArch() == llvm::Triple::x86_64 || triple.getArch() == llvm::Triple::aarch64;
  if (!known || !triple.isOSLinux() || triple.isX32())
    return failure("no code is made for '{}'; expected x86_64-linux-gnu or aarch64-linux-gnu",
                   text);
  return triple.str();
}

Result<Target> find_cpu(const std::string& triple, const std::string& name) {
  CodeTarget out;
  out.triple = triple;
  const std::string cpu = !name.empty() ? name : out.is_x86() ? "x86-64-v2" : "generic";
  const std::unique_ptr<llvm::MCSubtargetInfo> info(
      find_target(out).createMCSubtargetInfo(triple, base_cpu(out), ""));
  if (!info->isCPUStringValid(cpu)) return failure("{}", unknown_cpu(*info, cpu));
  if (!out.is_x86()) {
    out.isa = Isa::avx2;
    return static_cast<Target>(out);
  }
  const std::unique_ptr<llvm::MCSubtargetInfo> features(
      find_target(out).createMCSubtargetInfo(triple, cpu, ""));
  for (const Isa isa : kVectorIsas) {
    out.instructions = isa;
    if (!features->checkFeatures(feature_string(out))) continue;
    out.isa = isa;
    out.vnni = isa == Isa::avx512 && features->checkFeatures("+avx512vnni");
    out.bf16 = isa == Isa::avx512 && features->checkFeatures("+avx512bf16");
    return static_cast<Target>(out);
  }
  return failure("the CPU '{}' lacks SSE4.2, the least that code is made for; x86-64-v2 has it",
                 cpu);
}

std::unique_ptr<llvm::TargetMachine> make_machine(const CodeTarget& target) {
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<llvm::TargetMachine>(find_target(target).createTargetMachine(
      target.triple, base_cpu(target), feature_string(target), options, llvm::Reloc::PIC_,
      llvm::CodeModel::Small, llvm::CodeGenOptLevel::Less));
}

std::string generate(llvm::TargetMachine& machine, llvm::Module& module, Output output) {
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  const bool refused =
      machine.addPassesToEmitFile(passes, stream, nullptr,
                                  output == Output::object ? llvm::CodeGenFileType::ObjectFile
                                                           : llvm::CodeGenFileType::AssemblyFile,
                                  /*DisableVerify=*/true);
  LATHE_ASSERT(!refused, "LLVM cannot emit this file type");
  passes.run(module);
  return std::string(bytes.begin(), bytes.end());
}

}  // namespace lathe::codegen
