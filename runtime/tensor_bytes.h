// From bytes of a file to a tensor, with the checks every format shares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ir/base/tensor.h"

namespace lathe {

// Bytes of a tensor of this type. A negative or too large shape is a user error opened by `place`.
int64_t checked_bytes(DType dtype, const Dims& dims, const std::string& place);

// A tensor over `bytes`, which are exactly its size and may lie at any address: a view that holds
// `owner`. A boolean other than 0 or 1 is a user error opened by `place`: loading it as a bool
// would be undefined.
Tensor tensor_over(DType dtype, const Dims& dims, std::span<const std::byte> bytes,
                   std::shared_ptr<const void> owner, const std::string& place);

// The check of booleans alone.
void check_bools(std::span<const std::byte> bytes, const std::string& place);

}  // namespace lathe
