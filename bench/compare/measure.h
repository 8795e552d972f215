// What the programs of this folder share: values whose sums are exact, and the clock.
#pragma once

#include <cstdint>
#include <functional>
#include <new>
#include <random>
#include <vector>

namespace lathe::compare {

// Arrays begin at lines of the cache, as engines' own do.
template <class T>
struct AtLines {
  using value_type = T;
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), kLine)); }
  void deallocate(T* p, size_t) { ::operator delete(p, kLine); }
  bool operator==(const AtLines&) const = default;
  static constexpr std::align_val_t kLine{64};
};
using Floats = std::vector<float, AtLines<float>>;

// In -4 .. 4, so every order of additions gives the same exact sums.
Floats small_integers(int64_t size, std::mt19937& random);

// Of one call, measured for `budget` seconds; short calls are timed several at once.
double median_milliseconds(const std::function<void()>& call, double budget);

}  // namespace lathe::compare
