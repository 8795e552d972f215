// What families share with exp and log.
#pragma once

#include "passes/math/expansion.h"

namespace lathe::math {

// 2^doublings exp(x), doublings 0 or -1, finite and exact to an ulp wherever that is.
ScalarId exponential(Emitter& e, ScalarId x, int64_t doublings = 0);
ScalarId logarithm(Emitter& e, ScalarId x);

// log(1 + x).
ScalarId logarithm_of_next(Emitter& e, ScalarId x);

// exp(y) - 1 of 0 <= y, finite where exp(y) is.
ScalarId expm1_positive(Emitter& e, ScalarId y);

}  // namespace lathe::math
