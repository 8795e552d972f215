// Seeded orders.
#pragma once

#include <cstdint>
#include <vector>

namespace lathe::data {

// A permutation of 0..count-1 that depends on these three numbers only: the same on every machine
// and with every compiler. Example i sorts by the Philox word of (i, epoch) under `seed`, which
// makes all permutations equally likely.
std::vector<int64_t> shuffled_order(int64_t count, uint64_t seed, uint64_t epoch);

}  // namespace lathe::data
