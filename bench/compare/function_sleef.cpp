// SLEEF's functions of 16 floats, within 1.0 of the last place; what it has none for is made of
// them. Needs AVX-512.
#include <immintrin.h>
#include <sleef.h>

#include <stdexcept>

#include "bench/compare/function.h"

namespace lathe::compare {
namespace {

using Vector = __m512;

Vector sigmoid(Vector x) {
  const Vector one = _mm512_set1_ps(1);
  return _mm512_div_ps(one, _mm512_add_ps(one, Sleef_expf16_u10(_mm512_sub_ps(Vector{}, x))));
}

Vector gelu(Vector x) {
  const Vector half = _mm512_mul_ps(x, _mm512_set1_ps(0.5f));
  return _mm512_fmadd_ps(half, Sleef_erff16_u10(_mm512_mul_ps(x, _mm512_set1_ps(0.70710678f))),
                         half);
}

template <class F>
std::function<void()> over(const Function& f, F of) {
  return [f, of] {
    for (int64_t i = 0; i < f.size; i += 16)
      _mm512_storeu_ps(f.y + i, of(_mm512_loadu_ps(f.x + i)));
  };
}

}  // namespace

std::function<void()> prepare_function(const Function& f) {
  if (f.name == "exp") return over(f, [](Vector x) { return Sleef_expf16_u10(x); });
  if (f.name == "tanh") return over(f, [](Vector x) { return Sleef_tanhf16_u10(x); });
  if (f.name == "erf") return over(f, [](Vector x) { return Sleef_erff16_u10(x); });
  if (f.name == "sigmoid") return over(f, [](Vector x) { return sigmoid(x); });
  if (f.name == "gelu") return over(f, [](Vector x) { return gelu(x); });
  throw std::runtime_error("no function " + f.name);
}

}  // namespace lathe::compare
