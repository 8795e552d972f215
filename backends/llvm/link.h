// Objects as LLVM writes them to code that runs wherever it is mapped.
#pragma once

#include <string>

#include "backends/kernel_code.h"

namespace lathe::codegen {

// Lays out the loaded sections of a relocatable x86-64 object (System V ABI, AMD64 supplement) that
// has no undefined symbols, and resolves its relocations, which must be relative to the place;
// throws for another kind of object. `method` is left empty.
KernelCode link_object(const std::string& object, const std::string& symbol);

}  // namespace lathe::codegen
