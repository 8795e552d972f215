// Reductions whose taps are folded in registers, on every ISA, against the interpreter.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include "backends/reference/interpreter.h"
#include "backends/simd/simd.h"
#include "backends/simd/taps.h"
#include "ir/kernel_text.h"
#include "ir/kernel_verify.h"
#include "runtime/cpu.h"
#include "tests/support/fill.h"
#include "tests/support/kernel_run.h"

namespace lathe {
namespace {

constexpr int64_t kRows = 5, kColumns = 7;

// The bits on every ISA that this CPU has; each takes the road of taps.
void check_taps(const std::string& text, const std::vector<Tensor>& tensors) {
  const Result<Kernel> k = parse_kernel(text);
  REQUIRE_MESSAGE(k.ok(), k.error() << "\n" << text);
  REQUIRE(verify_kernel(*k, KernelStage::Expanded).ok());
  std::vector<Tensor> expected;
  for (const Tensor& t : tensors) expected.push_back(t.clone());
  run_kernel(*interpret_kernel(*k, {}, Target{}), *k, {}, expected);
  for (const Isa isa : {Isa::sse42, Isa::avx2, Isa::avx512}) {
    if (isa > detect_cpu().native.isa) continue;
    Target target;
    target.isa = isa;
    const auto compiled = simd_kernel(*k, {}, target);
    REQUIRE(compiled.ok());
    CHECK(compiled->implementation == fmt::format("simd/{} taps", name(isa)));
    std::vector<Tensor> got;
    for (const Tensor& t : tensors) got.push_back(t.clone());
    run_kernel(*compiled, *k, {}, got);
    CAPTURE(text);
    CHECK(first_difference(expected.back(), got.back()) == -1);
  }
}

Tensor indices(int64_t size, int64_t below) {
  Tensor t = Tensor::empty(DType::i64, {size});
  for (int64_t i = 0; i < size; ++i) t.set(i, static_cast<double>(i * 7 % below));
  return t;
}

// Channel counts below a vector, whole vectors, and in between.
constexpr int64_t kChannels[] = {2, 8, 16, 24, 40, 100};

TEST_CASE("pooling with padding") {
  for (const int64_t channels : kChannels)
    for (const std::string combine : {"max", "min", "add", "mul"})
      for (const int step : {1, 2}) {
        const int64_t row = kColumns * step * channels, size = kRows * step * row;
        const std::string identity = combine == "max"   ? "-inf"
                                     : combine == "min" ? "inf"
                                     : combine == "add" ? "0"
                                                        : "1";
        check_taps(
            fmt::format(R"(kernel reduce {{
  a0 = in f32[{size}]
  a1 = out f32[{out}]
  par {rows} {columns} {channels}
  red 3 3
  g0 = 0 <= {step}*p0 + r0 - 1 < {high}
  g1 = 0 <= {step}*p1 + r1 - 1 < {wide}
  %0 = load f32 a0[{down}*p0 + {right}*p1 + p2 + {row}*r0 + {channels}*r1 - {before}] if g0, g1
  %1 = guard bool if g0, g1
  %2 = const f32 {identity}
  %3 = select f32 %1, %0, %2
  fold {combine} f32 %3
  then
  %4 = acc f32 0
  store a1[{line}*p0 + {channels}*p1 + p2] = %4
}}
)",
                        fmt::arg("size", size), fmt::arg("out", kRows * kColumns * channels),
                        fmt::arg("rows", kRows), fmt::arg("columns", kColumns),
                        fmt::arg("channels", channels), fmt::arg("step", step),
                        fmt::arg("high", kRows * step), fmt::arg("wide", kColumns * step),
                        fmt::arg("down", step * row), fmt::arg("right", step * channels),
                        fmt::arg("row", row), fmt::arg("before", row + channels),
                        fmt::arg("identity", identity), fmt::arg("combine", combine),
                        fmt::arg("line", kColumns * channels)),
            {small_noise({size}, 3), Tensor::zeros(DType::f32, {kRows * kColumns * channels})});
      }
}

// Several rows share a tile only where all that follows the reduction can be told by the ivs.
TEST_CASE("sums that are scaled by what data looks up") {
  for (const int64_t channels : kChannels)
    check_taps(fmt::format(R"(kernel reduce {{
  a0 = in f32[{}]
  a1 = in i64[{}]
  a2 = in f32[5]
  a3 = out f32[{}]
  par 3 {}
  red 5
  %0 = load f32 a0[{}*p0 + p1 + {}*r0]
  fold add f32 %0
  then
  %1 = load i64 a1[{}*p0 + p1]
  %2 = load f32 a2[%1]
  %3 = acc f32 0
  %4 = mul f32 %3, %2
  store a3[{}*p0 + p1] = %4
}}
)",
                           15 * channels, 3 * channels, 3 * channels, channels, 5 * channels,
                           channels, channels, channels),
               {small_noise({15 * channels}, 1), indices(3 * channels, 5), small_noise({5}, 2),
                Tensor::zeros(DType::f32, {3 * channels})});
}

}  // namespace
}  // namespace lathe
