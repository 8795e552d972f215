// The machine that code is shaped for, and the instructions it may use.
#pragma once

#include <string>

#include "ir/base/target.h"

namespace lathe::codegen {

// Tests shape code for a wider machine than theirs (LlvmOptions::instructions): LLVM splits the
// vectors, and the emitter's logic runs anywhere. Otherwise both are the same ISA.
struct CodeTarget : Target {
  Isa instructions = Isa::scalar;
  std::string triple = "x86_64-unknown-linux-gnu";

  bool is_x86() const { return triple.starts_with("x86_64"); }
};

}  // namespace lathe::codegen
