// Reductions whose taps the xsimd backend folds in registers, pooling above all, against the scalar
// interpreter on every ISA this CPU has.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <limits>

#include "backends/reference/interpreter.h"
#include "backends/simd/simd.h"
#include "ir/kernel_text.h"
#include "tests/support/fill.h"
#include "tests/support/kernel_gen.h"
#include "tests/support/kernel_run.h"

namespace lathe {
namespace {

constexpr int64_t kRows = 5, kColumns = 6, kWindow = 3;

enum class Padding { None, Zero, Filled };

struct Pool {
  Combine combine = Combine::Max;
  Padding padding = Padding::None;
  int64_t stride = 1, channels = 1;
};

ScalarId add(Kernel& k, Scalar op, DType t, std::array<ScalarId, 3> args = {-1, -1, -1}) {
  Instr in;
  in.op = op, in.type = t, in.args = args;
  k.body.push_back(in);
  return static_cast<ScalarId>(k.body.size()) - 1;
}

// out[y, x, c] = 0.5 * fold of image[y * stride + i, x * stride + j, c] over i, j; with padding the
// windows begin one row and one column before the image.
Kernel pool_kernel(const Pool& p) {
  const int64_t before = p.padding == Padding::None ? 0 : 1;
  const auto positions = [&](int64_t n) { return (n + 2 * before - kWindow) / p.stride + 1; };
  const int64_t rows = positions(kRows), columns = positions(kColumns);
  const auto symbol = [](SymbolId s) { return IndexExpr::symbol(s); };
  const IndexExpr y = symbol(0) * p.stride + symbol(3) + IndexExpr(-before),
                  x = symbol(1) * p.stride + symbol(4) + IndexExpr(-before);
  Kernel k;
  k.core = Core::Reduce;
  k.par = {rows, columns, p.channels};
  k.red = {kWindow, kWindow};
  k.operands = {{DType::f32, kRows * kColumns * p.channels, OperandRole::In},
                {DType::f32, rows * columns * p.channels, OperandRole::Out}};
  ScalarId folded = add(k, Scalar::Load, DType::f32);
  k.body.back().access = {0, y * (kColumns * p.channels) + x * p.channels + symbol(2), {}};
  if (p.padding != Padding::None) {
    k.guards = {{y, kRows}, {x, kColumns}};
    k.body.back().guards = {0, 1};
  }
  if (p.padding == Padding::Filled) {
    const ScalarId inside = add(k, Scalar::GuardTest, DType::boolean);
    k.body.back().guards = {0, 1};
    const ScalarId fill = add(k, Scalar::Const, DType::f32);
    k.body.back().number = p.combine == Combine::Max ? -std::numeric_limits<double>::infinity() : 3;
    folded = add(k, Scalar::Select, DType::f32, {inside, folded, fill});
  }
  k.pre = static_cast<int>(k.body.size());
  k.reductions = {{p.combine, DType::f32, folded, -1}};
  const ScalarId acc = add(k, Scalar::Acc, DType::f32);
  const ScalarId half = add(k, Scalar::Const, DType::f32);
  k.body.back().number = 0.5;
  const ScalarId result = add(k, Scalar::Mul, DType::f32, {acc, half, -1});
  k.stores = {
      {{1, symbol(0) * (columns * p.channels) + symbol(1) * p.channels + symbol(2), {}}, result}};
  return k;
}

// Both zeros, both infinities and NaN among ordinary numbers, at a step that no extent shares.
Tensor image(int64_t n) {
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr double kValues[] = {0.0, -0.0, 1.25, -7,   0.1, inf, -0.0, 0.0, -3.5, 1e-40, 2, -inf,
                                8,   -0.3, 5,    -0.0, 11,  NAN, -1.5, 0.7, 1e30, 4,     -9};
  Tensor out = Tensor::zeros(DType::f32, {n});
  for (int64_t i = 0; i < n; ++i) out.set(i, kValues[static_cast<size_t>(i) % std::size(kValues)]);
  return out;
}

// The interpreter's bits, by taps; the last operand is the result.
void check_taps(const Kernel& k, const std::vector<Tensor>& tensors, const Target& target) {
  const auto reference = interpret_kernel(k, {}, target);
  const auto simd = simd_kernel(k, {}, target);
  REQUIRE(reference.ok());
  REQUIRE(simd.ok());
  // An iv of one element is no vector iv.
  if (k.par.back() > 1) CHECK(simd->implementation.ends_with(" taps"));
  std::vector<Tensor> expected = clone_all(tensors), got = clone_all(tensors);
  run_kernel(*reference, k, {}, expected);
  run_kernel(*simd, k, {}, got);
  CHECK(first_difference(expected.back(), got.back()) == -1);
}

Tensor indices(int64_t size, int64_t below) {
  Tensor t = Tensor::empty(DType::i64, {size});
  for (int64_t i = 0; i < size; ++i) t.set(i, static_cast<double>(i * 7 % below));
  return t;
}

}  // namespace

TEST_CASE("pooling folds its windows in registers to the interpreter's bits") {
  for (const Target& target : targets())
    for (Combine combine : {Combine::Max, Combine::Min, Combine::Add, Combine::Mul})
      for (Padding padding : {Padding::None, Padding::Zero, Padding::Filled})
        for (int64_t stride : {1, 2})
          // Less than a vector, whole vectors, and last columns that are computed twice in part.
          for (int64_t channels : {1, 3, 8, 16, 17, 24, 31, 64, 71, 150}) {
            CAPTURE(name(target.isa));
            CAPTURE(static_cast<int>(combine));
            CAPTURE(static_cast<int>(padding));
            CAPTURE(stride);
            CAPTURE(channels);
            const Kernel k = pool_kernel({combine, padding, stride, channels});
            check_taps(k,
                       {image(k.operands[0].size), Tensor::zeros(DType::f32, {k.operands[1].size})},
                       target);
          }
}

// Several rows share a tile only where all that follows the reduction can be told by the ivs.
TEST_CASE("sums that are scaled by what data looks up") {
  for (const int64_t channels : {2, 8, 16, 24, 40, 100}) {
    const std::string text = fmt::format(R"(kernel reduce {{
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
  %2 = const i64 4
  %3 = min i64 %1, %2
  %4 = const i64 0
  %5 = max i64 %3, %4
  %6 = load f32 a2[%5]
  %7 = acc f32 0
  %8 = mul f32 %7, %6
  store a3[{}*p0 + p1] = %8
}}
)",
                                         15 * channels, 3 * channels, 3 * channels, channels,
                                         5 * channels, channels, channels, channels);
    const Result<Kernel> k = parse_kernel(text);
    REQUIRE_MESSAGE(k.ok(), k.error() << "\n" << text);
    for (const Target& target : targets())
      check_taps(*k,
                 {small_noise({15 * channels}, 1), indices(3 * channels, 5), small_noise({5}, 2),
                  Tensor::zeros(DType::f32, {3 * channels})},
                 target);
  }
}

}  // namespace lathe
