#include "backends/llvm/machine.h"

#include <mutex>

#include "ir/base/error.h"

namespace lathe::codegen {

std::string feature_string(const CodeTarget& target) {
  switch (target.instructions) {
    case Isa::scalar:
    case Isa::sse42: return "+sse4.2";
    case Isa::avx2: return "+avx2,+fma,+f16c,+bmi,+bmi2";
    case Isa::avx512: return "+avx2,+fma,+f16c,+bmi,+bmi2,+avx512f,+avx512bw,+avx512dq,+avx512vl";
  }
  __builtin_unreachable();
}

std::unique_ptr<llvm::TargetMachine> make_machine(const CodeTarget& target) {
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
  const char* triple = "x86_64-unknown-linux-gnu";
  std::string error;
  const llvm::Target* t = llvm::TargetRegistry::lookupTarget(triple, error);
  LATHE_ASSERT(t, "{}", error);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict;
  return std::unique_ptr<llvm::TargetMachine>(
      t->createTargetMachine(triple, "x86-64", feature_string(target), options, llvm::Reloc::PIC_,
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
