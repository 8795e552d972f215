// Chains: steps of which each takes the one before it, and nothing else does, become one step that
// keeps the running value in vector registers (Table::chain).
#pragma once

#include <array>

#include "backends/simd/plan.h"

namespace lathe::simd {

// What an f32 scalar is as a link, by which of its operands is the running value.
std::array<LinkOp, 3> links_of(Scalar op);
// The same of a choice between operands 0 and 1 by their comparison, Lt or Le.
std::array<LinkOp, 3> links_of_choice(Scalar compare, int if_true, int if_false);

void join_chains(Plan& p);

}  // namespace lathe::simd
