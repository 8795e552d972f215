// What is split among threads: enough work only, in whole tiles, evenly.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>

#include "ir/kernel_text.h"
#include "passes/kernel_passes.h"
#include "tests/support/gemm_kernel.h"

using namespace lathe;

namespace {

constexpr Target kTarget = {.isa = Isa::avx512};

KernelSchedule product(int64_t m, int64_t n, int64_t k) {
  return choose_schedule(gemm_kernel({.m = m, .n = n, .k = k}), kTarget);
}

// Of two threads that take turns, the larger part of the parallel iv, in percent.
int64_t larger_share(const Kernel& k, const KernelSchedule& s) {
  const int64_t extent = k.par[static_cast<size_t>(s.parallel)];
  const int64_t others = chunk_count(k, s) / 2 * s.grain;
  return 100 * std::max(others, extent - others) / extent;
}

}  // namespace

TEST_CASE("products of a microsecond stay on one thread") {
  CHECK(product(2, 17, 97).parallel == -1);
  CHECK(product(12, 22, 219).parallel == -1);
  CHECK(product(9, 8, 17).parallel == -1);
}

TEST_CASE("few rows are split by columns, in whole vectors") {
  for (const int64_t n : {1252, 1588, 512, 1000}) {
    CAPTURE(n);
    const KernelSchedule s = product(4, n, 400);
    REQUIRE(s.parallel == 1);
    CHECK(s.grain % 32 == 0);
  }
}

TEST_CASE("a row times a matrix in memory is split into long pieces of the matrix's rows") {
  CHECK(product(1, 8192, 8192).grain == 2048);
  CHECK(product(1, 50257, 768).grain >= 2048);
  CHECK(product(1, 1024, 8192).grain == 512);
}

TEST_CASE("rows are split where the panels of few columns are not even, unless they are few") {
  for (const int64_t rows : {49, 8}) {
    CAPTURE(rows);
    const std::string text = fmt::format(R"(kernel reduce {{
  a0 = in f32[{}]
  a1 = in f32[92160]
  a2 = out f32[{}]
  par {} 5 32
  red 576
  %0 = load f32 a0[576*p0 + r0]
  %1 = load f32 a1[18432*p1 + p2 + 32*r0]
  fold fma f32 %0, %1
  then
  %2 = acc f32 0
  store a2[160*p0 + 32*p1 + p2] = %2
}})",
                                         576 * rows, 160 * rows, rows);
    const Kernel k = parse_kernel(text).value();
    const KernelSchedule s = choose_schedule(k, kTarget);
    CHECK(s.parallel == (rows == 49 ? 0 : 1));
    if (rows == 49) CHECK(larger_share(k, s) <= 55);
  }
}

TEST_CASE("two threads get about as much") {
  for (const int64_t m : {33, 70, 125, 318, 402})
    for (const int64_t n : {118, 276, 312, 1156}) {
      CAPTURE(m);
      CAPTURE(n);
      const Kernel k = gemm_kernel({.m = m, .n = n, .k = 1000});
      const KernelSchedule s = choose_schedule(k, kTarget);
      REQUIRE(s.parallel >= 0);
      CHECK(larger_share(k, s) <= 55);
    }
}

TEST_CASE("images are split by rows") {
  const Kernel k = parse_kernel(R"(kernel reduce {
  a0 = in f32[307200]
  a1 = in f32[144]
  a2 = out f32[307200]
  par 120 160 16
  red 3 3
  g0 = 0 <= p0 + r0 - 1 < 120
  g1 = 0 <= p1 + r1 - 1 < 160
  %0 = load f32 a0[2560*p0 + 16*p1 + p2 + 2560*r0 + 16*r1 - 2576] if g0, g1
  %1 = load f32 a1[p2 + 48*r0 + 16*r1]
  fold fma f32 %0, %1
  then
  %2 = acc f32 0
  store a2[2560*p0 + 16*p1 + p2] = %2
})")
                       .value();
  const KernelSchedule s = choose_schedule(k, kTarget);
  CHECK(s.parallel == 0);
  CHECK(s.vector == 2);
}

TEST_CASE("panels are split as wholes") {
  const Kernel k = parse_kernel(R"(kernel reduce {
  a0 = in f32[16384]
  a1 = in f32[131072]
  a2 = out f32[32768]
  par 64 16 32
  red 256
  %0 = load f32 a0[256*p0 + r0]
  %1 = load f32 a1[8192*p1 + p2 + 32*r0]
  fold fma f32 %0, %1
  then
  %2 = acc f32 0
  store a2[512*p0 + 32*p1 + p2] = %2
})")
                       .value();
  const KernelSchedule s = choose_schedule(k, kTarget);
  CHECK(s.parallel == 1);
  CHECK(chunk_count(k, s) >= 2);
}
