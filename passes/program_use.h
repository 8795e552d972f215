// What the steps of a program use.
#pragma once

#include <span>

#include "ir/program.h"

namespace lathe {

// How often the steps name a buffer.
int64_t mentions(std::span<const Step> steps, int buffer);

// Removes kernels that no step calls, and constants that no step or port names.
void drop_unused(Program& p);

}  // namespace lathe
