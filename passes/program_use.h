// What the steps of a program use.
#pragma once

#include "ir/program.h"

namespace lathe {

// Removes kernels that no step calls, and constants that no step or port names.
void drop_unused(Program& p);

}  // namespace lathe
