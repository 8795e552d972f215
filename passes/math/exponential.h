// What families share with exp and log.
#pragma once

#include "passes/math/expansion.h"

namespace lathe::math {

ScalarId exponential(Emitter& e, ScalarId x);
ScalarId logarithm(Emitter& e, ScalarId x);

// exp(y) - 1 of 0 <= y, finite where exp(y) is.
ScalarId expm1_positive(Emitter& e, ScalarId y);

}  // namespace lathe::math
