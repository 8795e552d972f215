#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "backends/reference/interpreter.h"
#include "ir/kernel_text.h"
#include "ir/kernel_verify.h"
#include "tests/support/kernel_gen.h"
#include "tests/support/kernel_run.h"
#include "tests/support/random.h"

using namespace lathe;

namespace {

constexpr const char* kContraction = R"(kernel reduce {
  a0 = in f32[6]
  a1 = in f32[6]
  a2 = out f32[4]
  par 2 2
  red 3
  %0 = load f32 a0[3*p0 + r0]
  %1 = load f32 a1[p1 + 2*r0]
  fold fma f32 %0, %1
  then
  %2 = acc f32 0
  %3 = const f32 0.5
  %4 = add f32 %2, %3
  store a2[2*p0 + p1] = %4
}
)";

Kernel parsed(std::string_view text) {
  Result<Kernel> k = parse_kernel(text);
  REQUIRE_MESSAGE(k.ok(), k.error());
  const Result<bool> sound = verify_kernel(*k, KernelStage::Expanded);
  REQUIRE_MESSAGE(sound.ok(), sound.error());
  return *std::move(k);
}

void interpret(std::string_view text, std::vector<Tensor>& tensors, KernelSchedule s = {}) {
  const Kernel k = parsed(text);
  const Result<CompiledKernel> compiled = interpret_kernel(k, s, Target{});
  REQUIRE_MESSAGE(compiled.ok(), compiled.error());
  run_kernel(*compiled, k, s, tensors, 2);
}

template <class T>
void check_values(const Tensor& t, const std::vector<T>& expected) {
  CHECK(first_difference(t, Tensor::from<T>({std::ssize(expected)}, expected)) == -1);
}

}  // namespace

TEST_CASE("a contraction over [2,3] x [3,2] is the matrix product with a bias after it") {
  std::vector<Tensor> t = {Tensor::from<float>({6}, {1, 2, 3, 4, 5, 6}),
                           Tensor::from<float>({6}, {1, 10, 2, 20, 3, 30}),
                           Tensor::zeros(DType::f32, {4})};
  for (int parallel : {-1, 0, 1}) {
    interpret(kContraction, t, {.parallel = parallel});
    check_values<float>(t[2], {14.5f, 140.5f, 32.5f, 320.5f});
  }
}

TEST_CASE("a map with guards pads with zeros and does not touch memory outside") {
  std::vector<Tensor> t = {Tensor::from<int32_t>({3}, {7, 8, 9}), Tensor::zeros(DType::i32, {6})};
  interpret(R"(kernel map { a0 = in i32[3] a1 = out i32[6] par 6 g0 = 0 <= p0 - 2 < 3
    %0 = load i32 a0[p0 - 2] if g0
    %1 = guard bool if g0
    %2 = const i32 -1
    %3 = select i32 %1, %0, %2
    store a1[p0] = %3 })",
            t);
  check_values<int32_t>(t[1], {-1, -1, 7, 8, 9, -1});
}

TEST_CASE("a guard of multiples and a derived symbol dilate a vector") {
  std::vector<Tensor> t = {Tensor::from<uint8_t>({3}, {7, 8, 9}), Tensor::zeros(DType::u8, {7})};
  interpret(R"(kernel map { a0 = in u8[3] a1 = out u8[7] par 7
    d0 = (p0 - 1) / 2
    g0 = 0 <= p0 - 1 < 6 multiple of 2
    %0 = load u8 a0[d0] if g0
    store a1[p0] = %0 })",
            t);
  check_values<uint8_t>(t[1], {0, 7, 0, 8, 0, 9, 0});
}

TEST_CASE("a lanes sum folds 32 accumulators by halves") {
  std::vector<float> x(70);
  for (size_t i = 0; i < x.size(); ++i) x[i] = 1.0f / static_cast<float>(i + 1);
  float lane[kLanes] = {};
  for (size_t i = 0; i < x.size(); ++i) lane[i % kLanes] += x[i];
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int j = 0; j < half; ++j) lane[j] += lane[j + half];
  std::vector<Tensor> t = {Tensor::from<float>({70}, x), Tensor::zeros(DType::f32, {1})};
  interpret(R"(kernel reduce lanes { a0 = in f32[70] a1 = out f32[1] red 70
    %0 = load f32 a0[r0]  fold add f32 %0  then  %1 = acc f32 0  store a1[0] = %1 })",
            t);
  check_values<float>(t[1], {lane[0]});
}

TEST_CASE("two reductions share one pass; max of nothing is minus infinity") {
  std::vector<Tensor> t = {Tensor::from<float>({4}, {1, 5, 2, -4}), Tensor::zeros(DType::f32, {2})};
  constexpr std::string_view text = R"(kernel reduce { a0 = in f32[4] a1 = out f32[2] red RED
    %0 = load f32 a0[r0]  fold max f32 %0  fold mul f32 %0  then
    %1 = acc f32 0  %2 = acc f32 1  store a1[0] = %1  store a1[1] = %2 })";
  const auto with = [&](const char* extent) {
    std::string s(text);
    return s.replace(s.find("RED"), 3, extent);
  };
  interpret(with("4"), t);
  check_values<float>(t[1], {5, -40});
  interpret(with("0"), t);
  check_values<float>(t[1], {-INFINITY, 1});
}

TEST_CASE("a cumulative sum stores after folding, an exclusive one before") {
  std::vector<Tensor> t = {Tensor::from<int64_t>({6}, {1, 2, 3, 10, 20, 30}),
                           Tensor::zeros(DType::i64, {6})};
  constexpr std::string_view rest = R"( { a0 = in i64[6] a1 = out i64[6] par 2 red 3
    %0 = load i64 a0[3*p0 + r0]  fold add i64 %0  then
    %1 = acc i64 0  store a1[3*p0 + r0] = %1 })";
  interpret("kernel cumulative" + std::string(rest), t);
  check_values<int64_t>(t[1], {1, 3, 6, 10, 30, 60});
  interpret("kernel cumulative exclusive" + std::string(rest), t);
  check_values<int64_t>(t[1], {0, 1, 3, 0, 10, 30});
}

TEST_CASE("a scatter adds in order, at limited indices") {
  std::vector<Tensor> t = {Tensor::from<int32_t>({4}, {1, 1, 9, -7}),
                           Tensor::from<float>({4}, {1, 2, 4, 8}),
                           Tensor::from<float>({3}, {100, 200, 300})};
  interpret(R"(kernel scatter { a0 = in i32[4] a1 = in f32[4] a2 = inout f32[3] red 4
    %0 = load i32 a0[r0]
    %1 = const i32 0  %2 = max i32 %0, %1
    %3 = const i32 2  %4 = min i32 %2, %3
    %5 = load f32 a1[r0]
    then
    store add a2[%4] = %5 })",
            t);
  check_values<float>(t[2], {108, 203, 304});
}

TEST_CASE("f16 is computed in f32 and rounded at casts and stores") {
  std::vector<Tensor> t = {Tensor::zeros(DType::f16, {1}), Tensor::zeros(DType::f16, {1}),
                           Tensor::zeros(DType::bf16, {1}), Tensor::zeros(DType::f32, {1})};
  t[0].set(0, 2049.0 / 2);
  interpret(R"(kernel map { a0 = in f16[1] a1 = out f16[1] a2 = out bf16[1] a3 = out f32[1]
    %0 = load f16 a0[0]
    %1 = const f32 1.25
    %2 = add f32 %0, %1
    %3 = cast bf16 %2
    store a1[0] = %2  store a2[0] = %2  store a3[0] = %3 })",
            t);
  CHECK(t[0].at(0) == 1024);  // a tie, to even
  CHECK(t[1].at(0) == 1025);
  CHECK(t[2].at(0) == 1024);
  CHECK(t[3].at(0) == 1024);
}

TEST_CASE("integers wrap, saturate and divide as ir/scalar.h says") {
  std::vector<Tensor> t = {Tensor::from<int8_t>({4}, {-128, 7, -7, 100}),
                           Tensor::from<int8_t>({4}, {-1, 0, 2, 100}),
                           Tensor::from<float>({4}, {-1e9f, 300.5f, NAN, -0.5f})};
  for (int i = 0; i < 4; ++i) t.push_back(Tensor::zeros(DType::i8, {4}));
  interpret(R"(kernel map { a0 = in i8[4] a1 = in i8[4] a2 = in f32[4]
    a3 = out i8[4] a4 = out i8[4] a5 = out i8[4] a6 = out i8[4] par 4
    %0 = load i8 a0[p0]  %1 = load i8 a1[p0]  %2 = load f32 a2[p0]
    %3 = div i8 %0, %1  %4 = rem i8 %0, %1  %5 = add i8 %0, %1  %6 = cast i8 %2
    store a3[p0] = %3  store a4[p0] = %4  store a5[p0] = %5  store a6[p0] = %6 })",
            t);
  check_values<int8_t>(t[3], {-128, -1, -3, 1});
  check_values<int8_t>(t[4], {0, 7, -1, 0});
  check_values<int8_t>(t[5], {127, 7, -5, -56});
  check_values<int8_t>(t[6], {-128, 127, 0, 0});
}

TEST_CASE("a printed kernel is the canonical text, and spacing and comments do not matter") {
  const Kernel k = parsed(kContraction);
  CHECK(print_kernel(k) == kContraction);
  CHECK(hash_kernel(k) == hash_kernel(parsed("// one line\n" + std::string(kContraction))));
  CHECK(print_kernel(parsed("kernel map{a0=out f64[9]par 3 3%0=const f64 -1e-300 "
                            "store a0[p1+0+3*p0-p1+p1]=%0}")) ==
        "kernel map {\n  a0 = out f64[9]\n  par 3 3\n  %0 = const f64 -1e-300\n"
        "  store a0[3*p0 + p1] = %0\n}\n");
}

TEST_CASE("a schedule prints on one line and parses back") {
  const KernelSchedule s{.parallel = 1, .grain = 4, .vector = -1, .tile_m = 8, .tile_n = 32};
  CHECK(print_schedule(s) == "schedule parallel=1 grain=4 vector=-1 tile=8x32");
  CHECK(parse_schedule(print_schedule(s)).value() == s);
  const KernelSchedule fetching{.vector = 1, .fetch = 0, .ahead = 4096};
  CHECK(print_schedule(fetching) ==
        "schedule parallel=-1 grain=1 vector=1 tile=0x0 fetch=0 ahead=4096");
  CHECK(parse_schedule(print_schedule(fetching)).value() == fetching);
  CHECK(parse_schedule("schedule parallel=1").error() == "1:20: expected 'grain', found the end");
}

TEST_CASE("syntax errors name line, column and what was expected") {
  const auto error = [](std::string_view text) {
    const Result<Kernel> k = parse_kernel(text);
    REQUIRE_FALSE(k.ok());
    return k.error();
  };
  CHECK(error("") == "1:1: expected 'kernel', found the end");
  CHECK(error("kernel loop {") == "1:8: expected map, reduce, cumulative or scatter, found 'loop'");
  CHECK(error("kernel map {\n  a0 = in f31[4]\n") ==
        "2:11: expected an element type such as f32, found 'f31'");
  CHECK(error("kernel map {\n %0 = neg f32 %1") ==
        "2:16: expected the number of one of the 0 scalars above, found '1'");
  CHECK(error("kernel map { a0 = in f32[4] par 4\n%0 = load f32 a0[p7] ") ==
        "2:18: expected a parallel iv up to p0, found 'p7'");
  CHECK(error("kernel map { a0 = in f32[99999999999999999999]") ==
        "1:26: expected a 64-bit integer, found '99999999999999999999'");
}

TEST_CASE("a thousand random kernels print, parse and print the same text") {
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const Kernel k = random_kernel(seed).kernel;
    const std::string text = print_kernel(k);
    const Result<Kernel> back = parse_kernel(text);
    REQUIRE_MESSAGE(back.ok(), back.error() << "\n" << text);
    REQUIRE(print_kernel(*back) == text);
    REQUIRE(verify_kernel(*back, KernelStage::Expanded).ok());
    const KernelSchedule s = random_schedule(k, seed);
    REQUIRE(parse_schedule(print_schedule(s)).value() == s);
  }
}

TEST_CASE("random kernels hold every machine scalar") {
  std::set<Scalar> seen;
  for (uint64_t seed = 0; seed < 1000; ++seed)
    for (const Instr& in : random_kernel(seed).kernel.body) seen.insert(in.op);
  for (int i = 0; i < kScalarCount; ++i) {
    CAPTURE(kScalars[i].name);
    CHECK(seen.contains(static_cast<Scalar>(i)) == (kScalars[i].cls == ScalarClass::machine));
  }
}

TEST_CASE("mutated texts parse or fail, and verify or fail, without crashing") {
  const std::string alphabet = "apdrg%0123456789[]{}()=+-*/<, .\nex";
  Random random(1);
  int parsed_count = 0, sound_count = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    std::string text = print_kernel(random_kernel(seed % 200).kernel);
    for (int64_t edits = random.between(1, 4); edits > 0; --edits) {
      const auto at = static_cast<size_t>(random.below(std::ssize(text)));
      const auto length = static_cast<size_t>(random.between(1, 12));
      const auto from = static_cast<size_t>(random.below(std::ssize(text)));
      const char c = alphabet[static_cast<size_t>(random.below(std::ssize(alphabet)))];
      switch (random.below(4)) {
        case 0: text[at] = c; break;
        case 1: text.erase(at, length); break;
        case 2: text.insert(at, text.substr(from, length)); break;
        default: text[at] = static_cast<char>(random.next()); break;
      }
      if (text.empty()) text.push_back(' ');
    }
    const Result<Kernel> k = parse_kernel(text);
    parsed_count += k.ok();
    if (!k) {
      REQUIRE(k.error().find(": expected ") != std::string::npos);
      continue;
    }
    sound_count += verify_kernel(*k, KernelStage::Lowered).ok();
  }
  CHECK(parsed_count > sound_count);
  CHECK(sound_count > 0);
}
