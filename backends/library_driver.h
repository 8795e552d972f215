// The C source that calls a program's kernels in the order of its plan.
#pragma once

#include <set>
#include <string>

#include "backends/library.h"

namespace lathe {

// Those of runtime/artifact/argsort.h that the plan's steps call.
std::set<std::string> sort_functions(const Plan& plan);
std::string kernel_symbol(const LibraryOptions& options, int kernel);
// `weights` is the path of a file with all constants, each at constant_offset of its index.
std::string driver_source(const Program& p, const LibraryOptions& options,
                          const std::string& weights);
std::vector<int64_t> constant_offsets(const Plan& plan);  // 64-byte aligned
// The prototype of NAME_run without the semicolon.
std::string run_prototype(const Program& p, const LibraryOptions& options);

}  // namespace lathe
