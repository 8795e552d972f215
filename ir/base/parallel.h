// What a pass may use threads through, without knowing whose they are.
#pragma once

#include <cstdint>
#include <functional>

namespace lathe {

// Calls body(i) once for every i in [0, n), in any order, perhaps at the same time, and returns
// when all are done. What a body throws is thrown again then.
using ParallelFor = std::function<void(int64_t n, const std::function<void(int64_t i)>& body)>;

inline void serial_for(int64_t n, const std::function<void(int64_t)>& body) {
  for (int64_t i = 0; i < n; ++i) body(i);
}

}  // namespace lathe
