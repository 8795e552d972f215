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

std::string print_program(const Program& p);

}  // namespace lathe
