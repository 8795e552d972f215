// A tiered start: xsimd's kernels run at once, while LLVM compiles what the cache lacks and takes
// over when it is done. Both give the same bits (where the target has FMA; elsewhere nothing is
// tiered).
#pragma once

#include <memory>

#include "backends/compile.h"

namespace lathe {

// Whether such a start is possible for these options: the backend is left to Lathe, nobody wants to
// wait, LLVM's file is there, and which tier ran cannot be told from the results.
bool may_tier(const CompileOptions& options);

// Runs on LLVM's code from the first run on where all of it is in the cache. Errors: none but lack
// of memory; where LLVM fails later, xsimd's kernels stay and options.on_fallback is told by the
// next run. Precondition: may_tier(options).
std::unique_ptr<Executable> start_tiered(const Program& p, const CompileOptions& options,
                                         std::shared_ptr<ThreadPool> pool);

}  // namespace lathe
