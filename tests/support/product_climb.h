// Kernels of products of narrow numbers on every backend, against the interpreter.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "backends/native.h"
#include "tests/support/kernel_gen.h"

namespace lathe {

// What code is made for: a target, and the instructions that it may really use.
struct ProductMachine {
  Target target;
  NativeOptions options;
};

// Fails the running test for each kernel whose result, operand 2, has other bits than the
// interpreter's, on xsimd or LLVM on any of the machines, where `agrees` asks for it. The number of
// LLVM's kernels whose implementation names `instruction`; -1 where there is no LLVM.
int64_t climb_products(
    const std::vector<KernelCase>& cases, const std::vector<ProductMachine>& machines,
    std::string_view instruction,
    const std::function<bool(const Target& target, size_t k)>& agrees = [](const Target&, size_t) {
      return true;
    });

}  // namespace lathe
