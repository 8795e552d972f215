// LLVM modules to machine code.
#pragma once

#include <memory>
#include <string>

#include "backends/llvm/code_target.h"
#include "backends/llvm/llvm_headers.h"
#include "ir/base/error.h"

namespace lathe::codegen {

// What is supported of `text`, a target triple in any spelling, as LLVM spells it: x86-64 and
// AArch64 Linux. A failure names those.
Result<std::string> find_triple(const std::string& text);

// By LLVM's tables; the least that is supported where `name` is empty. On AArch64 every CPU is
// Isa::avx2: its 32 registers of 128 bits serve as 16 of 256, and it fuses multiply-adds and
// converts halves.
Result<Target> find_cpu(const std::string& triple, const std::string& name);

// "+avx2,+fma,..": exactly what ir/base/target.h says of the ISA; nothing comes from a CPU's name.
std::string feature_string(const CodeTarget& target);
// The least CPU of the architecture, to which the features add.
const char* base_cpu(const CodeTarget& target);

// Linux with the target's features; position independent.
std::unique_ptr<llvm::TargetMachine> make_machine(const CodeTarget& target);

enum class Output : uint8_t { object, assembly };

// Runs code generation without a mid-level pipeline: the emitter writes what it means.
std::string generate(llvm::TargetMachine& machine, llvm::Module& module, Output output);

}  // namespace lathe::codegen
