// Kernels that only move: concatenations, slices, paddings, transposes. What guards choose between
// is decided by whole rows instead of element by element, and each source is copied straight to
// where it goes.
#pragma once

#include <memory>

#include "backends/simd/canonical.h"

namespace lathe::simd {

struct Moves {
  Canonical c;
  int bytes = 0;  // of an element
  int n = -1;     // the iv along which a row lies
  int m = -1;     // that of the rows which guards treat alike; -1: one row at a time
};

// Refuses kernels of another form, with the reason.
Result<std::shared_ptr<const Moves>> plan_moves(const Canonical& c);

// A KernelFn; `context` is a Moves.
void run_moves(void* const* args, int64_t begin, int64_t end, const void* context);

}  // namespace lathe::simd
