// Program: kernels with their schedules, and the plan that calls them.
#pragma once

#include "ir/base/plan.h"
#include "ir/kernel.h"

namespace lathe {

struct Program {
  std::string name;
  std::vector<Kernel> kernels;  // distinct
  std::vector<KernelSchedule> schedules;
  Plan plan;
};

// For people: buffers, ports and steps, then each kernel with its schedule. Bytes everywhere;
// `b3+64*l0` is buffer 3 at 64 bytes times the iteration of loop 0.
std::string print_program(const Program& p);

}  // namespace lathe
