// How much a program computes and moves.
#pragma once

#include "ir/program.h"

namespace lathe::tools {

struct Work {
  double flops = 0;  // of one run; a multiply-add counts as two
  double bytes = 0;  // of inputs, constants and outputs, each counted once
};

// Counted from kernels and trip counts. Index arithmetic, loads, casts and selects are no flops;
// of an `if` the first branch counts, of a `while` one iteration.
Work count_work(const Program& p);
// The flops of one call of each kernel.
std::vector<double> kernel_flops(const Program& p);

}  // namespace lathe::tools
