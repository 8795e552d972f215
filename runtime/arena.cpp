#include "runtime/arena.h"

#include "ir/base/error.h"
#include "ir/base/memory.h"

namespace lathe {

std::byte* Arena::at_least(int64_t bytes) {
  if (bytes > bytes_) {
    memory_.reset();  // first, so that both never exist at once
    bytes_ = 0;
    memory_ = allocate_memory(bytes);
    if (!memory_) fail("out of memory: the arena needs {} bytes", bytes);
    bytes_ = bytes;
  }
  return static_cast<std::byte*>(memory_.get());
}

}  // namespace lathe
