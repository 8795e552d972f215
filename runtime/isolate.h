// Running code that hostile input may crash in a process of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "runtime/files.h"

namespace lathe {

struct IsolationLimits {
  unsigned cpu_seconds = 10;
  int64_t memory_bytes = int64_t{5} << 30;  // beyond what this process has mapped already
};

struct IsolatedResult {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> owner;  // keeps the bytes alive
};

// Runs `work` in a forked child and gives the bytes that it wrote. An Error thrown by `work` is
// thrown here with the same kind and text; a crash, an endless loop or exhausted memory becomes a
// user error that begins with `place`. The child shares no memory with the caller beyond what it
// reads at the fork, prints nothing, and must not touch locks or threads of the caller.
IsolatedResult run_isolated(const std::string& place, const IsolationLimits& limits,
                            const std::function<void(FileWriter&)>& work);

}  // namespace lathe
