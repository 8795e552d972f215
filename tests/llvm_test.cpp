// The LLVM backend against the scalar interpreter, to the bit, on every ISA this machine has.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "backends/native.h"
#include "backends/reference/interpreter.h"
#include "ir/kernel_text.h"
#include "runtime/cpu.h"
#include "tests/support/convolution_kernel.h"
#include "tests/support/effort.h"
#include "tests/support/gemm_kernel.h"
#include "tests/support/kernel_gen.h"
#include "tests/support/kernel_run.h"
#include "tests/support/scratch.h"

using namespace lathe;

namespace {

LlvmBackend* backend() {
  auto opened = LlvmBackend::open();
  if (!opened) MESSAGE("skipped: " << opened.error());
  return opened ? *opened : nullptr;
}

// A target to shape code for, on the instructions this machine has.
struct Row {
  const char* name;
  Target target;
  NativeOptions options;
  bool exact;  // FMA instructions: the interpreter's bits
};

std::vector<Row> rows() {
  const Isa native = detect_cpu().native.isa;
  std::vector<Row> out;
  if (native >= Isa::avx512) out.push_back({"avx512", {.isa = Isa::avx512}, {}, true});
  if (native >= Isa::avx2) {
    out.push_back({"avx2", {.isa = Isa::avx2}, {}, true});
    out.push_back({"avx512 shapes on avx2",
                   {.isa = Isa::avx512},
                   {.llvm = {.instructions = Isa::avx2}},
                   true});
  }
  if (native >= Isa::sse42) out.push_back({"sse42", {.isa = Isa::sse42}, {}, false});
  return out;
}

bool uses_fma(const Kernel& k) {
  for (const Instr& in : k.body)
    if (in.op == Scalar::Fma && is_float(in.type)) return true;
  for (const Reduction& r : k.reductions)
    if (r.combine == Combine::Fma && is_float(r.type)) return true;
  return false;
}

// Compiles the cases in one call and compares each with the interpreter.
void compare(const Row& row, const std::vector<KernelCase>& cases) {
  std::vector<KernelJob> jobs;
  for (size_t i = 0; i < cases.size(); ++i)
    jobs.push_back({&cases[i].kernel, cases[i].schedule, fmt::format("k{}", i)});
  const auto compiled = compile_native(jobs, row.target, row.options);
  REQUIRE_MESSAGE(compiled.ok(), compiled.error());
  for (size_t i = 0; i < cases.size(); ++i) {
    const KernelCase& c = cases[i];
    std::vector<Tensor> expected = clone_all(c.tensors), got = clone_all(c.tensors);
    run_kernel(*interpret_kernel(c.kernel, c.schedule, Target{}), c.kernel, c.schedule, expected);
    run_kernel((*compiled)[i], c.kernel, c.schedule, got);
    for (size_t o = 0; o < got.size(); ++o) {
      const int64_t at = first_difference(expected[o], got[o]);
      if (at < 0) continue;
      FAIL_CHECK(fmt::format("{} by {} on {} ({}): operand {} element {} is {}, expected {}\n{}",
                             row.name, (*compiled)[i].implementation, c.kernel.label,
                             print_schedule(c.schedule), o, at, got[o].at(at), expected[o].at(at),
                             print_kernel(c.kernel)));
      break;
    }
  }
}

// Every operand full of noise in [-1, 1).
KernelCase noise_case(Kernel kernel, const KernelSchedule& schedule, const std::string& label) {
  KernelCase c{std::move(kernel), schedule, {}};
  c.kernel.label = label;
  uint32_t state = 12345;
  for (const Operand& o : c.kernel.operands) {
    c.tensors.push_back(Tensor::zeros(o.dtype, {o.size}));
    for (int64_t i = 0; i < o.size; ++i) {
      state = state * 1664525u + 1013904223u;
      const float v = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
      if (o.dtype == DType::f64) static_cast<double*>(c.tensors.back().mutable_raw())[i] = v;
      else static_cast<float*>(c.tensors.back().mutable_raw())[i] = v;
    }
  }
  return c;
}

void compare_images(const std::vector<ImageShape>& shapes, bool padded) {
  std::vector<KernelCase> cases;
  for (const KernelSchedule s :
       {KernelSchedule{.vector = 2}, KernelSchedule{.parallel = 0, .grain = 2, .vector = 2},
        KernelSchedule{.parallel = 1, .grain = 5, .vector = 2},
        KernelSchedule{.parallel = 2, .grain = 32, .vector = 2}})
    for (const ImageShape& i : shapes) {
      cases.push_back(noise_case(image_kernel(i), s, fmt::format("{} at {}", i.window, i.size)));
      cases.back().kernel.reductions[0].padded = padded;
    }
  for (const Row& row : rows())
    if (row.exact) compare(row, cases);
}

}  // namespace

TEST_CASE("compiled random kernels give the interpreter's bits") {
  if (!backend()) return;
  constexpr uint64_t kBatch = 20, kKernels = testing::random_cases(400);
  for (const Row& row : rows())
    for (uint64_t first = 0; first < kKernels; first += kBatch) {
      std::vector<KernelCase> cases;
      for (uint64_t seed = first; seed < first + kBatch; ++seed) {
        cases.push_back(random_kernel(seed));
        if (!row.exact && uses_fma(cases.back().kernel)) cases.pop_back();
      }
      compare(row, cases);
    }
}

TEST_CASE("compiled products give the interpreter's bits, packed or not, whatever the chunks") {
  if (!backend()) return;
  std::vector<KernelCase> cases;
  const auto add = [&](const GemmShape& g, const KernelSchedule& s) {
    cases.push_back(noise_case(gemm_kernel(g), s, fmt::format("{}x{}x{}", g.m, g.n, g.k)));
  };
  for (const KernelSchedule s :
       {KernelSchedule{.vector = 1}, KernelSchedule{.parallel = 0, .grain = 13, .vector = 1},
        KernelSchedule{.parallel = 1, .grain = 48, .vector = 1},
        KernelSchedule{.parallel = 1, .grain = 37, .vector = 1}}) {
    add({.m = 50, .n = 299, .k = 23, .epilogue = 1}, s);
    add({.m = 29, .n = 41, .k = 67, .a_transposed = true, .epilogue = 15}, s);
    add({.m = 31, .n = 35, .k = 40, .b_transposed = true}, s);
    add({.m = 1, .n = 150, .k = 33, .epilogue = 1}, s);
    add({.m = 1, .n = 150, .k = 33, .b_transposed = true, .epilogue = 1}, s);
    add({.m = 1, .n = 171, .k = 1024, .b_transposed = true, .epilogue = 1}, s);
    add({.m = 1, .n = 70, .k = 523, .b_transposed = true}, s);
    add({.m = 40, .n = 10, .k = 17, .epilogue = 2}, s);
    add({.m = 26, .n = 150, .k = 21, .epilogue = 1, .type = DType::f64}, s);
    add({.m = 9, .n = 70, .k = 1600, .a_transposed = true, .epilogue = 1}, s);
    add({.m = 25, .n = 83, .k = 600, .a_transposed = true, .epilogue = 14}, s);
    add({.m = 40, .n = 37, .k = 521, .a_transposed = true, .b_transposed = true}, s);
  }
  // Half a vector of columns left, and a row that all of b passes by for a few steps at a time.
  for (const KernelSchedule s :
       {KernelSchedule{.vector = 1}, KernelSchedule{.parallel = 0, .grain = 13, .vector = 1},
        KernelSchedule{.parallel = 1, .grain = 300, .vector = 1}}) {
    add({.m = 25, .n = 8, .k = 132, .epilogue = 1}, s);
    add({.m = 29, .n = 22, .k = 61, .epilogue = 15}, s);
    add({.m = 7, .n = 19, .k = 40, .b_transposed = true}, s);
    add({.m = 40, .n = 51, .k = 530, .a_transposed = true, .epilogue = 14}, s);
    add({.m = 33, .n = 342, .k = 20, .b_transposed = true}, s);
    add({.m = 30, .n = 11, .k = 25, .epilogue = 1, .type = DType::f64}, s);
    add({.m = 1, .n = 1111, .k = 260, .epilogue = 1}, s);
    add({.m = 1, .n = 1111, .k = 240, .epilogue = 14}, s);
    add({.m = 1, .n = 700, .k = 256, .type = DType::f64}, s);
  }
  add({.m = 400, .n = 90, .k = 520, .a_transposed = true, .b_transposed = true, .epilogue = 2},
      {.vector = 1});
  add({.m = 230, .n = 20, .k = 512, .a_transposed = true, .type = DType::f64},
      {.parallel = 0, .grain = 211, .vector = 1});
  for (const Row& row : rows())
    if (row.exact) compare(row, cases);
}

TEST_CASE("compiled sums in lanes give the interpreter's bits, several rows at a time or one") {
  if (!backend()) return;
  std::vector<KernelCase> cases;
  for (const KernelSchedule s :
       {KernelSchedule{.vector = 2}, KernelSchedule{.parallel = 0, .grain = 3, .vector = 2},
        KernelSchedule{.parallel = 0, .grain = 10, .vector = 2},
        KernelSchedule{.parallel = 1, .grain = 3, .vector = 2}})
    for (const GemmShape& g : {GemmShape{.m = 21, .n = 1, .k = 100, .epilogue = 1},
                               {.m = 21, .n = 1, .k = 64, .epilogue = 15},
                               {.m = 1, .n = 11, .k = 37, .epilogue = 14},
                               {.m = 6, .n = 5, .k = 31, .epilogue = 2},
                               {.m = 2, .n = 9, .k = 75, .epilogue = 1, .type = DType::f64}}) {
      GemmShape rows_along_memory = g;
      rows_along_memory.b_transposed = true;
      Kernel k = gemm_kernel(rows_along_memory);
      k.order = Order::Lanes;
      cases.push_back(noise_case(std::move(k), s, fmt::format("lanes {}x{}x{}", g.m, g.n, g.k)));
    }
  for (const Row& row : rows())
    if (row.exact) compare(row, cases);
}

TEST_CASE("compiled depthwise convolutions give the interpreter's bits, whatever the chunks") {
  if (!backend()) return;
  std::vector<KernelCase> cases;
  for (const KernelSchedule s :
       {KernelSchedule{.vector = 2}, KernelSchedule{.parallel = 0, .grain = 2, .vector = 2},
        KernelSchedule{.parallel = 1, .grain = 4, .vector = 2},
        KernelSchedule{.parallel = 2, .grain = 24, .vector = 2}})
    for (const DepthwiseShape& d : {DepthwiseShape{7, 7, 96},
                                    {5, 15, 41, 3, 2},
                                    {9, 11, 150, 5, 1, 14},
                                    {6, 23, 16, 3, 1, 2},
                                    {1, 9, 20, 3, 1, 14},
                                    {4, 1, 70},
                                    {8, 8, 3},
                                    {2, 44, 24, 3, 2},  // rows that outgrow L1, of two heights
                                    {2, 88, 24, 3, 2}})
      cases.push_back(noise_case(depthwise_kernel(d), s,
                                 fmt::format("{}x{}x{}", d.height, d.width, d.channels)));
  for (const Row& row : rows())
    if (row.exact) compare(row, cases);
}

TEST_CASE("compiled convolutions of images give the interpreter's bits, at edges and inside") {
  if (!backend()) return;
  compare_images({{3, 31, 40}, {2, 20, 70, 7, 2}, {1, 9, 16, 5}, {3, 8, 3, 9}}, false);
}

TEST_CASE("convolutions that leave their padding out give the interpreter's bits") {
  if (!backend()) return;
  compare_images({{8, 7, 40, 3, 1, true},
                  {5, 14, 32, 3, 1, true},
                  {16, 9, 20, 3, 2, true},
                  {4, 20, 70, 5, 1, true},
                  {3, 13, 33, 7, 2, true},
                  {6, 2, 16, 5, 1, true},
                  {6, 1, 16, 3, 1, true},
                  {2, 8, 24, 3}},
                 true);
}

// A product of padding that is not left out is 0 by infinity here, NaN.
TEST_CASE("padding is left out of convolutions by whole tiles and by rows") {
  if (!backend()) return;
  constexpr int64_t kFilters = 32, kChannels = 8, kSize = 7, kTap = kChannels * kFilters;
  KernelCase c = noise_case(image_kernel({kChannels, kSize, kFilters, 3, 1, true}), {.vector = 2},
                            "infinite weights");
  c.kernel.reductions[0].padded = true;
  auto* weights = static_cast<float*>(c.tensors[1].mutable_raw());
  const auto infinite = [&](int64_t row, int64_t column) {
    for (int64_t i = 0; i < kTap; ++i) weights[(3 * row + column) * kTap + i] = INFINITY;
  };
  for (int64_t i = 0; i < 3; ++i) infinite(0, i), infinite(i, 0), infinite(i, 2);
  for (int64_t i = 0; i < kSize * kSize * kChannels; ++i)
    static_cast<float*>(c.tensors[0].mutable_raw())[i] = 1;
  for (const Row& row : rows()) {
    const auto compiled = compile_native(std::vector<KernelJob>{{&c.kernel, c.schedule, "k"}},
                                         row.target, row.options);
    REQUIRE_MESSAGE(compiled.ok(), compiled.error());
    std::vector<Tensor> got = clone_all(c.tensors);
    run_kernel((*compiled)[0], c.kernel, c.schedule, got);
    int64_t wrong = 0;
    for (int64_t i = 0; i < got[3].size(); ++i) wrong += got[3].at(i) != INFINITY;
    CHECK_MESSAGE(wrong == 0, row.name);
  }
}

TEST_CASE("a reduction over two indices is cut into blocks of the outer one") {
  if (!backend()) return;
  KernelCase c;
  c.kernel = gemm_kernel({.m = 20, .n = 35, .k = 640, .a_transposed = true, .epilogue = 1});
  // k = 32 * r0 + r1, the weights' gradient of a layer that runs over time and batch.
  Kernel& k = c.kernel;
  k.red = {20, 32};
  const auto m = IndexExpr::symbol(0), n = IndexExpr::symbol(1);
  const IndexExpr step = IndexExpr::symbol(2) * 32 + IndexExpr::symbol(3);
  k.body[0].access.offset = step * 20 + m;
  k.body[1].access.offset = step * 35 + n;
  c.schedule = {.vector = 1};
  for (const Operand& o : k.operands) {
    c.tensors.push_back(Tensor::zeros(o.dtype, {o.size}));
    for (int64_t i = 0; i < o.size; ++i)
      static_cast<float*>(c.tensors.back().mutable_raw())[i] =
          static_cast<float>((i * 7919) % 1013) / 1013;
  }
  for (const Row& row : rows())
    if (row.exact) compare(row, {c});
}

TEST_CASE("compiling on several threads gives every kernel its own code") {
  if (!backend()) return;
  std::vector<KernelCase> cases;
  for (uint64_t seed = 0; seed < 9; ++seed) cases.push_back(random_kernel(seed));
  Row row = rows().front();
  row.options.threads = 4;
  if (row.exact) compare(row, cases);
}

TEST_CASE("equal kernels are compiled once, and once only while the cache keeps them") {
  if (!backend()) return;
  const testing::ScratchFolder dir;
  const Kernel k = gemm_kernel({.m = 16, .n = 16, .k = 16}),
               other = gemm_kernel({.m = 2, .n = 16, .k = 16});
  const std::vector<KernelJob> jobs = {
      {&k, {.vector = 1}, "a"}, {&other, {}, "b"}, {&k, {.vector = 1}, "c"}};
  const NativeOptions options{.threads = 2, .cache_dir = dir.path("cache")};
  const auto files = [&] {
    std::vector<std::filesystem::path> out;
    for (const auto& e : std::filesystem::directory_iterator(options.cache_dir))
      out.push_back(e.path());
    return out;
  };
  const Target target = detect_cpu().target;
  const auto first = compile_native(jobs, target, options);
  REQUIRE_MESSAGE(first.ok(), first.error());
  const bool shared = (*first)[0].fn == (*first)[2].fn, apart = (*first)[0].fn != (*first)[1].fn;
  CHECK(shared);
  CHECK(apart);
  CHECK(files().size() == 2);

  const auto again = compile_native(jobs, target, options);
  REQUIRE(again.ok());
  CHECK((*again)[0].implementation == (*first)[0].implementation);

  SUBCASE("a damaged entry is rebuilt") {
    for (const auto& file : files()) {
      std::fstream f(file, std::ios::in | std::ios::out | std::ios::binary);
      f.seekp(-200, std::ios::end);
      f.put('!');
    }
    CHECK(compile_native(jobs, target, options).ok());
  }
  SUBCASE("what the cache keeps runs without LLVM, and gives the same answers") {
    const NativeKernels kept(jobs, target, options);
    CHECK(kept.complete());
    const auto mapped = kept.map();
    REQUIRE(mapped.ok());
    for (size_t i = 0; i < 2; ++i) {
      std::vector<Tensor> tensors, again_tensors;
      for (const Operand& o : jobs[i].kernel->operands) {
        tensors.push_back(Tensor::zeros(o.dtype, {o.size}));
        for (int64_t e = 0; e < o.size; ++e) tensors.back().set(e, static_cast<double>(e % 7) - 3);
      }
      again_tensors = clone_all(tensors);
      run_kernel((*first)[i], *jobs[i].kernel, jobs[i].schedule, tensors);
      run_kernel((*mapped)[i], *jobs[i].kernel, jobs[i].schedule, again_tensors);
      for (size_t o = 0; o < tensors.size(); ++o)
        CHECK(first_difference(tensors[o], again_tensors[o]) == -1);
    }
  }
  SUBCASE("the cache stays below its limit") {
    NativeOptions small = options;
    small.cache_limit = 1;
    const Kernel third = gemm_kernel({.m = 3, .n = 16, .k = 16});
    const KernelJob job{&third, {}, "d"};
    CHECK(compile_native({&job, 1}, target, small).ok());
    CHECK(files().empty());
  }
}

TEST_CASE("an object for ahead of time use is ELF and names its symbols") {
  if (!backend()) return;
  const Kernel k = gemm_kernel({.m = 16, .n = 16, .k = 16});
  const KernelJob job{&k, {.vector = 1}, "my_kernel"};
  const auto object = backend()->emit({&job, 1}, {.isa = Isa::avx2}, EmitKind::object);
  REQUIRE(object.ok());
  CHECK(object->substr(0, 4) ==
        "\x7f"
        "ELF");
  CHECK(object->find("my_kernel") != std::string::npos);
}

TEST_CASE("a target without SSE4.2 is refused with a reason") {
  if (!backend()) return;
  const Kernel k = gemm_kernel({.m = 4, .n = 4, .k = 4});
  const KernelJob job{&k, {}, "k"};
  const auto compiled = compile_native({&job, 1}, Target{});
  REQUIRE(!compiled.ok());
  CHECK(compiled.error() == "k: the LLVM backend needs SSE4.2");
}
