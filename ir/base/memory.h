// Memory for tensors and arenas.
#pragma once

#include <cstdint>
#include <memory>

namespace lathe {

// Uninitialised, at least 64-byte aligned, freed with the last owner. Large blocks ask the system
// for huge pages: first use of a gigabyte then costs 500 page faults instead of 260,000. Null where
// there is not as much memory.
std::shared_ptr<void> allocate_memory(int64_t bytes);

}  // namespace lathe
