// Functions that each ISA's file has as one loop (Table::function): where a kernel's body holds
// the instructions that passes/math makes of exp, tanh and so on, one step does for all of them.
#pragma once

#include <vector>

#include "ir/kernel.h"

namespace lathe::simd {

struct FunctionUse {
  int function = -1;  // of Table::function; -1: none
  ScalarId operands[2] = {-1, -1};
};

// By instruction: the function whose value it has, if the instructions before it are its expansion.
std::vector<FunctionUse> find_functions(const std::vector<Instr>& body);

}  // namespace lathe::simd
