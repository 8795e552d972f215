// Where the time of a run goes, kernel by kernel.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ir/program.h"
#include "runtime/executable.h"

namespace lathe::tools {

struct KernelCost {
  int kernel = 0;     // its number in `inspect --stage program`
  std::string name;   // label and implementation
  std::string loops;  // extents: parallel, then "red" and those of the reduction
  double calls = 0;   // of one run
  double ms = 0;      // of one run
  double share = 0;   // of the whole run
  double gflops = 0;
};

struct Profile {
  double run_ms = 0;                // mean of the runs that were profiled
  double outside_ms = 0;            // copies, loops and dispatch
  std::vector<KernelCost> kernels;  // that ran, slowest first
};

// Runs for at least `min_seconds` with the clock around every kernel.
Profile profile_runs(const Program& program, Executable& executable,
                     const std::vector<Tensor>& inputs, double min_seconds);

std::string profile_text(const Profile& p);
nlohmann::ordered_json profile_json(const Profile& p);

}  // namespace lathe::tools
