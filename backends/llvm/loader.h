// Objects in memory to functions of this process.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "runtime/kernel_abi.h"

namespace lathe::codegen {

struct LoadedObject {
  std::shared_ptr<const void> keep;  // owns the code
  std::vector<KernelFn> functions;   // by symbol
};

// Links a relocatable object that has no undefined symbols. A failure is a bad object.
Result<LoadedObject> load_object(const std::string& object, std::span<const std::string> symbols);

}  // namespace lathe::codegen
