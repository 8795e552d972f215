// The one C signature of a compiled kernel, shared by the program runner, every backend and
// ahead-of-time artefacts.
#pragma once

#include <cstdint>

namespace lathe {

// args[i] points at element 0 of operand i. The kernel covers values [begin, end) of its parallel
// iv (schedule.parallel) and all of the others; a kernel without one is called with (0, 1).
// Concurrent calls with disjoint ranges are allowed. `context` is the backend's own, null for
// compiled code.
using KernelFn = void (*)(void* const* args, int64_t begin, int64_t end, const void* context);

}  // namespace lathe
