// Gives the registers of a plan their places in the scratch and chooses the tile length.
#pragma once

#include "backends/simd/plan.h"

namespace lathe::simd {

// `stores_at`: the level at whose end the stores run.
void place_registers(Plan& p, Level stores_at);

}  // namespace lathe::simd
