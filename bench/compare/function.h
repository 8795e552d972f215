// Elementwise functions y = f(x) on an array that fits into L1, as each engine is asked for them:
// one program an engine, all with the same functions, values, check and clock (function.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace lathe::compare {

struct Function {
  std::string name;  // exp, tanh, sigmoid, erf or gelu
  int64_t size;      // a multiple of all vectors
  const float* x;
  float* y;
};

// What each engine's file defines: the call that is timed, on one thread.
std::function<void()> prepare_function(const Function& function);

}  // namespace lathe::compare
