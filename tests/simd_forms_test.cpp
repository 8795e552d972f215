// Forms of kernels that the xsimd backend runs by code of their own: functions of passes/math,
// moves, depthwise convolutions, convolutions of few filters and single rows times panels. Against
// the scalar interpreter on every ISA this CPU has.
#include <doctest/doctest.h>
#include <fmt/core.h>

#include <algorithm>

#include "backends/reference/interpreter.h"
#include "backends/simd/functions.h"
#include "backends/simd/simd.h"
#include "ir/kernel_text.h"
#include "passes/kernel_passes.h"
#include "tests/support/fill.h"
#include "tests/support/kernel_gen.h"
#include "tests/support/kernel_run.h"

namespace lathe {
namespace {

Kernel parsed(const std::string& text) {
  const Result<Kernel> k = parse_kernel(text);
  REQUIRE_MESSAGE(k.ok(), k.error() << "\n" << text);
  return *k;
}

// Without FMA the interpreter rounds once where the backend rounds twice.
bool needs_fma(const Kernel& k) {
  return std::ranges::any_of(k.body, [](const Instr& in) { return in.op == Scalar::Fma; }) ||
         std::ranges::any_of(k.reductions,
                             [](const Reduction& r) { return r.combine == Combine::Fma; });
}

// One of the operands is the result, which is compared whole.
void check_form(const Kernel& k, const std::vector<Tensor>& tensors, const char* form) {
  for (const Target& target : targets()) {
    CAPTURE(name(target.isa));
    const auto reference = interpret_kernel(k, {}, target);
    const auto simd = simd_kernel(k, {}, target);
    REQUIRE(reference.ok());
    REQUIRE(simd.ok());
    CAPTURE(simd->implementation);
    CHECK(simd->implementation.find(form) != std::string::npos);
    std::vector<Tensor> expected = clone_all(tensors), got = clone_all(tensors);
    run_kernel(*reference, k, {}, expected);
    run_kernel(*simd, k, {}, got);
    if (!target.has_fma() && needs_fma(k)) continue;
    for (size_t i = 0; i < got.size(); ++i) CHECK(first_difference(expected[i], got[i]) == -1);
  }
}

Tensor wild(DType type, int64_t n, uint64_t seed) {
  Tensor t = Tensor::zeros(type, {n});
  Random random(seed);
  fill(t, Fill::Wild, random);
  return t;
}

// A map over n elements of `inputs` tensors a0, a1, .. and as many results as the body stores.
void check_map(int64_t n, int inputs, int outputs, const std::string& body, uint64_t seed = 1) {
  std::string text = "kernel map {\n";
  std::vector<Tensor> tensors;
  for (int i = 0; i < inputs + outputs; ++i) {
    text += fmt::format("  a{} = {} f32[{}]\n", i, i < inputs ? "in" : "out", n);
    tensors.push_back(i < inputs ? wild(DType::f32, n, seed + 9 * static_cast<uint64_t>(i))
                                 : Tensor::zeros(DType::f32, {n}));
  }
  Kernel k = parsed(fmt::format("{}  par {}\n{}}}\n", text, n, body));
  expand_math(k);
  check_form(k, tensors, " tiles");
}

// Small tensors for operands before the last, which is the result.
std::vector<Tensor> small_tensors(const Kernel& k) {
  std::vector<Tensor> out;
  for (size_t i = 0; i + 1 < k.operands.size(); ++i)
    out.push_back(small_noise({k.operands[i].size}, i + 1));
  out.push_back(Tensor::zeros(DType::f32, {k.operands.back().size}));
  return out;
}

// out[i] = f(x[i]) or f(x[i], y[i]), before and after its expansion.
Kernel function_kernel(Scalar f, DType type, int64_t n, bool expanded) {
  const bool two = info(f).operands == 2;
  Kernel k = parsed(fmt::format(R"(kernel map {{
  a0 = in {0}[{1}]
  a1 = in {0}[{1}]
  a2 = out {0}[{1}]
  par {1}
  %0 = load {0} a0[p0]
  %1 = load {0} a1[p0]
  %2 = {2} {0} %0{3}
  %3 = add {0} %2, %1
  store a2[p0] = %3
}}
)",
                                name(type), n, name(f), two ? ", %1" : ""));
  if (expanded) expand_math(k);
  return k;
}

}  // namespace

TEST_CASE("every function is found whole where its expansion stands, with the interpreter's bits") {
  for (int s = 0; s < kScalarCount; ++s) {
    const auto f = static_cast<Scalar>(s);
    if (info(f).cls != ScalarClass::expanded) continue;
    for (const DType type : {DType::f32, DType::f64}) {
      CAPTURE(name(f));
      CAPTURE(name(type));
      const Kernel k = function_kernel(f, type, 77, true);
      int found = 0;
      for (const simd::FunctionUse& use : simd::find_functions(k.body))
        if (use.function >= 0) ++found;
      // These two are computed in f64 and end with a choice in f32, which is no function of f64's.
      const bool mixed = type == DType::f32 && (f == Scalar::Sin || f == Scalar::Tan);
      CHECK((found > 0) == !mixed);
      for (const uint64_t seed : {1, 2, 3})
        check_form(k, {wild(type, 77, seed), wild(type, 77, seed + 9), Tensor::zeros(type, {77})},
                   " tiles");
    }
  }
}

TEST_CASE("a function's instructions are one step even where its values are used by others") {
  check_map(50, 1, 1, R"(  %0 = load f32 a0[p0]
  %1 = sigmoid f32 %0
  %2 = mul f32 %0, %1
  %3 = tanh f32 %2
  %4 = exp f32 %3
  %5 = mul f32 %4, %2
  store a1[p0] = %5
)");
}

// A second operand that varies, one that is an element of memory, and a constant.
constexpr const char* kOthers[] = {"load f32 a1[p0]", "load f32 a1[3]", "const f32 0.5"};

TEST_CASE("a comparison and what it chooses between") {
  for (const char* compare : {"lt", "le"})
    for (const char* operands :
         {"%0, %1", "%1, %0", "%0, %2", "%2, %0", "%1, %2", "%2, %1", "%2, %2", "%0, %3", "%2, %3"})
      for (const char* other : kOthers) {
        CAPTURE(compare);
        CAPTURE(operands);
        CAPTURE(other);
        check_map(70, 3, 1,
                  fmt::format(R"(  %0 = load f32 a0[p0]
  %1 = {2}
  %2 = load f32 a2[p0]
  %3 = mul f32 %0, %2
  %4 = {0} bool %0, %1
  %5 = select f32 %4, {1}
  store a3[p0] = %5
)",
                              compare, operands, other));
      }
}

TEST_CASE("steps that follow each other are one, in every order of operands") {
  for (const int64_t n : {70, 500})  // without and with whole blocks
    for (const char* other : kOthers)
      for (const uint64_t seed : {1, 2, 3}) {
        CAPTURE(n);
        CAPTURE(other);
        check_map(n, 2, 2,
                  fmt::format(R"(  %0 = load f32 a0[p0]
  %1 = {}
  %2 = add f32 %0, %1
  %3 = sub f32 %2, %1
  %4 = sub f32 %1, %3
  %5 = mul f32 %1, %4
  %6 = max f32 %5, %1
  %7 = max f32 %1, %6
  %8 = fma f32 %7, %1, %0
  %9 = min f32 %8, %0
  %10 = min f32 %0, %9
  %11 = div f32 %10, %1
  %12 = div f32 %1, %11
  %13 = fma f32 %1, %12, %0
  %14 = fma f32 %0, %1, %13
  %15 = lt bool %14, %1
  %16 = select f32 %15, %14, %1
  %17 = lt bool %1, %16
  %18 = select f32 %17, %16, %1
  %19 = le bool %18, %1
  %20 = select f32 %19, %1, %18
  %21 = le bool %1, %20
  %22 = select f32 %21, %1, %20
  %23 = mul f32 %22, %22
  %24 = add f32 %23, %4
  %25 = sqrt f32 %24
  %26 = sub f32 %25, %0
  %27 = sub f32 %26, %23
  store a2[p0] = %27
  store a3[p0] = %12
)",
                              other),
                  seed);
      }
}

TEST_CASE("a chain takes what another chain gives, wherever that begins") {
  check_map(200, 2, 1, R"(  %0 = load f32 a0[p0]
  %1 = load f32 a1[p0]
  %2 = add f32 %0, %1
  %3 = mul f32 %1, %0
  %4 = sub f32 %3, %1
  %5 = mul f32 %2, %4
  %6 = sub f32 %0, %1
  %7 = max f32 %6, %1
  %8 = add f32 %5, %7
  %9 = mul f32 %8, %0
  store a2[p0] = %9
)");
}

TEST_CASE("rows are moved by what guards leave of them") {
  // Two tensors beside each other, and a constant where neither is.
  for (const int64_t columns : {1, 7, 40})
    for (const char* at : {"p0", "2*p0 + 1", "-1*p0 + 39"}) {
      CAPTURE(columns);
      CAPTURE(at);
      const Kernel k = parsed(fmt::format(R"(kernel map {{
  a0 = in f32[4000]
  a1 = in f32[4000]
  a2 = out f32[4000]
  par 9 {0}
  g0 = 0 <= p1 - 2 < 11
  g1 = 0 <= {1} - 20 < 13
  g2 = 0 <= p0 - 3 < 5
  %0 = load f32 a0[40*p0 + p1 + 5] if g0
  %1 = guard bool if g0, g2
  %2 = load f32 a1[80*p0 + 2*p1] if g2
  %3 = guard bool if g1
  %4 = const f32 1.5
  %5 = select f32 %3, %2, %4
  %6 = select f32 %1, %0, %5
  store a2[{0}*p0 + p1] = %6
}}
)",
                                          columns, at));
      check_form(
          k,
          {wild(DType::f32, 4000, 1), wild(DType::f32, 4000, 2), Tensor::zeros(DType::f32, {4000})},
          " moves");
    }
}

TEST_CASE("moves of every width, transposed, strided, backwards") {
  for (const DType type : {DType::f64, DType::i32, DType::i16, DType::boolean})
    for (const char* from :
         {"p0 + 20*p1 + 100*p2", "6*p1 + 100*p0 + p2", "-1*p2 + 100*p0 + 6*p1 + 5"}) {
      CAPTURE(name(type));
      CAPTURE(from);
      const Kernel k = parsed(fmt::format(R"(kernel map {{
  a0 = in {0}[2100]
  a1 = out {0}[600]
  par 20 5 6
  %0 = load {0} a0[{1}]
  store a1[p2 + 6*p0 + 120*p1] = %0
}}
)",
                                          name(type), from));
      check_form(k, {wild(type, 2100, 1), Tensor::zeros(type, {600})}, " moves");
    }
}

// out[y, x, c] = max(bias[c] + sum over i, j of image[y*s + i - p, x*s + j - p, c] * w[i, j, c], 0)
std::string depthwise(int64_t channels, int64_t stride, int64_t before, int64_t window) {
  constexpr int64_t rows = 7, columns = 11;
  const auto positions = [&](int64_t n) { return (n + 2 * before - window) / stride + 1; };
  const int64_t y = positions(rows), x = positions(columns);
  return fmt::format(
      R"(kernel reduce {{
  a0 = in f32[{5}]
  a1 = in f32[{6}]
  a2 = in f32[{0}]
  a3 = out f32[{7}]
  par {3} {4} {0}
  red {8} {8}
  g0 = 0 <= {1}*p0 + r0 - {2} < 7
  g1 = 0 <= {1}*p1 + r1 - {2} < 11
  %0 = load f32 a0[{9}*p0 + {10}*p1 + p2 + {11}*r0 + {0}*r1 - {12}] if g0, g1
  %1 = load f32 a1[p2 + {13}*r0 + {0}*r1]
  fold fma f32 %0, %1
  then
  %2 = acc f32 0
  %3 = load f32 a2[p2]
  %4 = add f32 %2, %3
  %5 = const f32 0
  %6 = le bool %4, %5
  %7 = select f32 %6, %5, %4
  store a3[{14}*p0 + {0}*p1 + p2] = %7
}}
)",
      channels, stride, before, y, x, rows * columns * channels, window * window * channels,
      y * x * channels, window, stride * columns * channels, stride * channels, columns * channels,
      before * columns * channels + before * channels, window * channels, x * channels);
}

TEST_CASE("depthwise convolutions fold rows of pixels that lie inside") {
  for (const int64_t channels : {3, 8, 16, 24, 100})
    for (const int64_t stride : {1, 2})
      for (const auto& [before, window] : {std::pair{0, 3}, {1, 3}, {2, 5}, {4, 5}}) {
        CAPTURE(channels);
        CAPTURE(stride);
        CAPTURE(before);
        const Kernel k = parsed(depthwise(channels, stride, before, window));
        check_form(k, small_tensors(k), " taps");
      }
}

// A convolution 3x3 of an image of which channels come last, or first.
std::string convolution(int64_t channels, int64_t filters, int64_t before, bool last) {
  constexpr int64_t rows = 5, columns = 21;
  const int64_t y = rows + 2 * before - 2, x = columns + 2 * before - 2;
  const std::string red = last ? fmt::format("3 3 {}", channels) : fmt::format("{} 3 3", channels);
  const char *i = last ? "r0" : "r1", *j = last ? "r1" : "r2", *c = last ? "r2" : "r0";
  const int64_t of_y = last ? columns * channels : columns, of_x = last ? channels : 1,
                of_c = last ? 1 : rows * columns;
  return fmt::format(R"(kernel reduce {{
  a0 = in f32[{0}]
  a1 = in f32[{1}]
  a2 = in f32[{2}]
  a3 = in f32[{3}]
  a4 = out f32[{3}]
  par {4} {5} {2}
  red {6}
  g0 = 0 <= p0 + {7} - {10} < 5
  g1 = 0 <= p1 + {8} - {10} < 21
  %0 = load f32 a0[{11}*p0 + {12}*p1 + {11}*{7} + {12}*{8} + {13}*{9} - {14}] if g0, g1
  %1 = load f32 a1[p2 + {15}*{7} + {16}*{8} + {2}*{9}]
  fold fma f32 %0, %1
  then
  %2 = acc f32 0
  %3 = load f32 a2[p2]
  %4 = sub f32 %2, %3
  %5 = load f32 a3[{17}*p0 + {2}*p1 + p2]
  %6 = fma f32 %4, %3, %5
  store a4[{17}*p0 + {2}*p1 + p2] = %6
}}
)",
                     rows * columns * channels, 9 * channels * filters, filters, y * x * filters, y,
                     x, red, i, j, c, before, of_y, of_x, of_c, before * (of_y + of_x),
                     3 * channels * filters, channels * filters, x * filters);
}

TEST_CASE("convolutions of few filters read their image where it lies") {
  for (const int64_t channels : {1, 3, 16})
    for (const int64_t filters : {8, 10, 16, 20, 32, 40, 80})
      for (const int64_t before : {0, 1, 2})
        for (const bool last : {false, true}) {
          CAPTURE(channels);
          CAPTURE(filters);
          CAPTURE(before);
          CAPTURE(last);
          const Kernel k = parsed(convolution(channels, filters, before, last));
          check_form(k, small_tensors(k), " contract");
        }
}

TEST_CASE("a row times panels is finished for several panels at once") {
  for (const int64_t width : {8, 32, 50, 64})
    for (const int64_t panels : {1, 2, 5, 17})
      for (const int64_t apart : {width, width + 3}) {
        CAPTURE(width);
        CAPTURE(panels);
        CAPTURE(apart);
        const Kernel k = parsed(fmt::format(R"(kernel reduce {{
  a0 = in f32[50]
  a1 = in f32[{2}]
  a2 = in f32[{3}]
  a3 = out f32[{3}]
  par {1} {0}
  red 50
  %0 = load f32 a0[r0]
  %1 = load f32 a1[{4}*p0 + p1 + {0}*r0]
  fold fma f32 %0, %1
  then
  %2 = acc f32 0
  %3 = load f32 a2[{5}*p0 + p1]
  %4 = add f32 %2, %3
  store a3[{5}*p0 + p1] = %4
}}
)",
                                            width, panels, panels * 50 * width, panels * apart,
                                            50 * width, apart));
        check_form(k, small_tensors(k), " contract");
      }
}

}  // namespace lathe
