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

  const Kernel& kernel_of(const Step& call) const {
    return kernels[static_cast<size_t>(call.kernel)];
  }
  // The number of a kernel that is new.
  int add(Kernel k, const KernelSchedule& s) {
    kernels.push_back(std::move(k));
    schedules.push_back(s);
    return static_cast<int>(kernels.size()) - 1;
  }
};

// For people: buffers, ports and steps, then each kernel with its schedule. Bytes everywhere;
// `b3+64*l0` is buffer 3 at 64 bytes times the iteration of loop 0.
std::string print_program(const Program& p);

}  // namespace lathe
