// What the programs of this folder share: values whose sums are exact, and the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <random>
#include <vector>

namespace lathe::compare {

// In -4 .. 4, so every order of additions gives the same exact sums.
std::vector<float> small_integers(int64_t size, std::mt19937& random);

// Of one call, measured for `budget` seconds; short calls are timed several at once.
double median_milliseconds(const std::function<void()>& call, double budget);

}  // namespace lathe::compare
