// Matrix products c = a b, as each engine is asked for them: one program an engine, all with the
// same shapes, values, check and clock (gemm.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

namespace lathe::compare {

struct GemmShape {
  const char* model;  // that has such a product
  int64_t m, n, k;
};

// Of models, and seeded ones of no pattern.
std::vector<GemmShape> gemm_shapes();

// Row-major a [m, k], b [k, n], c [m, n]. b stays as it is: an engine may pack it ahead.
struct Gemm {
  GemmShape shape;
  const float* a;
  const float* b;
  float* c;
};

// What each engine's file defines: everything that is done once, and then the call that is timed.
std::function<void()> prepare_gemm(const Gemm& gemm, int threads);

}  // namespace lathe::compare
