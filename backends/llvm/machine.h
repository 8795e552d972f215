// LLVM modules to machine code.
#pragma once

#include <memory>
#include <string>

#include "backends/llvm/code_target.h"
#include "backends/llvm/llvm_headers.h"

namespace lathe::codegen {

// "+avx2,+fma,..": exactly what ir/base/target.h says of the ISA; nothing comes from a CPU's name.
std::string feature_string(const CodeTarget& target);

// x86-64 Linux with the target's features; position independent.
std::unique_ptr<llvm::TargetMachine> make_machine(const CodeTarget& target);

enum class Output : uint8_t { object, assembly };

// Runs code generation without a mid-level pipeline: the emitter writes what it means.
std::string generate(llvm::TargetMachine& machine, llvm::Module& module, Output output);

}  // namespace lathe::codegen
