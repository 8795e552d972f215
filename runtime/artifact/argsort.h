// The function behind a plan's Sort steps: one for each dtype, with C linkage. Ahead-of-time
// libraries link the same ones, from an archive that needs nothing but libc.
#pragma once

#include <cstdint>

#include "ir/base/dtype.h"

// clang-format off
#define LATHE_ARGSORT_TYPES(TYPE) \
  TYPE(f64) TYPE(f32) TYPE(f16) TYPE(bf16) TYPE(i64) TYPE(i32) TYPE(i16) TYPE(i8) \
  TYPE(u64) TYPE(u32) TYPE(u16) TYPE(u8) TYPE(boolean)
// clang-format on

extern "C" {
// For each of `lanes` runs of `length` elements at x: where its first `count` elements are, in the
// order that ir/ops/sort.cpp states. Needs no memory beyond the results.
#define LATHE_DECLARE(type)                                                                \
  void lathe_argsort_##type(const void* x, int64_t* places, int64_t lanes, int64_t length, \
                            int64_t count, int descending);
LATHE_ARGSORT_TYPES(LATHE_DECLARE)
#undef LATHE_DECLARE
}

namespace lathe {

struct Argsort {
  const char* symbol;
  void (*call)(const void* x, int64_t* places, int64_t lanes, int64_t length, int64_t count,
               int descending);
};

inline Argsort argsort_of(DType t) {
  switch (t) {
#define LATHE_CASE(type) \
  case DType::type: return {"lathe_argsort_" #type, lathe_argsort_##type};
    LATHE_ARGSORT_TYPES(LATHE_CASE)
#undef LATHE_CASE
  }
  __builtin_unreachable();
}

}  // namespace lathe
