// Every backend runs the same kernels as the scalar interpreter and must give the same bits,
// whatever the schedule and the number of threads.
#include <doctest/doctest.h>

#include <algorithm>

#include "backends/native.h"
#include "backends/reference/interpreter.h"
#include "backends/simd/simd.h"
#include "ir/kernel_text.h"
#include "ir/kernel_verify.h"
#include "runtime/cpu.h"
#include "tests/support/effort.h"
#include "tests/support/kernel_gen.h"
#include "tests/support/kernel_run.h"

using namespace lathe;

namespace {

constexpr uint64_t kKernels = testing::random_cases(2000);

struct Rung {
  const char* name;
  BuildKernel build;
  Target target;
  uint64_t every = 1;  // runs the seeds that are a multiple of it
};

Result<CompiledKernel> llvm_kernel(const Kernel& k, const KernelSchedule& s, const Target& t) {
  const KernelJob job{&k, s, "kernel"};
  auto compiled = compile_native({&job, 1}, t);
  if (!compiled) return Failure{compiled.error()};
  return std::move(compiled->front());
}

// A backend is one row for each target it is to be tested on.
std::vector<Rung> rungs() {
  std::vector<Rung> out = {{"interpreter", interpret_kernel, Target{}}};
  for (const Isa isa : {Isa::sse42, Isa::avx2, Isa::avx512})
    if (isa <= detect_cpu().native.isa) out.push_back({"simd", simd_kernel, {.isa = isa}});
  const auto llvm = LlvmBackend::open();
  if (!llvm) MESSAGE("without llvm: " << llvm.error());
  // llvm_test compiles many more, in batches, and for SSE4.2.
  for (const Isa isa : {Isa::avx2, Isa::avx512})
    if (llvm && isa <= detect_cpu().native.isa)
      out.push_back({"llvm", llvm_kernel, {.isa = isa}, 10});
  return out;
}

// Whether the bits may depend on the target: without FMA instructions Fma rounds twice.
bool needs_fma(const Kernel& k) {
  const auto is_fma = [](const Instr& in) { return in.op == Scalar::Fma && is_float(in.type); };
  const auto folds = [](const Reduction& r) {
    return r.combine == Combine::Fma && is_float(r.type);
  };
  return std::ranges::any_of(k.body, is_fma) || std::ranges::any_of(k.reductions, folds);
}

std::vector<Tensor> run(const Rung& rung, const KernelCase& c, const KernelSchedule& s,
                        int threads) {
  const Result<CompiledKernel> compiled = rung.build(c.kernel, s, rung.target);
  REQUIRE_MESSAGE(compiled.ok(), rung.name << " refuses: " << compiled.error());
  std::vector<Tensor> tensors = clone_all(c.tensors);
  run_kernel(*compiled, c.kernel, s, tensors, threads);
  return tensors;
}

std::string report(const Rung& rung, const KernelCase& c, const KernelSchedule& s, size_t operand,
                   int64_t at, const Tensor& expected, const Tensor& got) {
  return fmt::format("{} {} on {} ({}): operand {} element {} is {}, expected {}\n{}", rung.name,
                     name(rung.target.isa), c.kernel.label, print_schedule(s), operand, at,
                     got.at(at), expected.at(at), print_kernel(c.kernel));
}

}  // namespace

TEST_CASE("all backends agree with the unsplit interpreter to the bit on random kernels") {
  const Rung reference{"interpreter", interpret_kernel, Target{}};
  const std::vector<Rung> table = rungs();
  for (uint64_t seed = 0; seed < kKernels; ++seed) {
    const KernelCase c = random_kernel(seed);
    const Result<bool> sound = verify_kernel(c.kernel, KernelStage::Expanded);
    REQUIRE_MESSAGE(sound.ok(), c.kernel.label << ": " << sound.error() << "\n"
                                               << print_kernel(c.kernel));
    const std::vector<Tensor> expected = run(reference, c, KernelSchedule{}, 1);
    for (const Rung& rung : table) {
      if (seed % rung.every != 0) continue;
      if (rung.build == simd_kernel && !rung.target.has_fma() && needs_fma(c.kernel)) continue;
      const int threads = 1 + static_cast<int>(seed % 50 == 0) * 2;
      const std::vector<Tensor> got = run(rung, c, c.schedule, threads);
      for (size_t i = 0; i < got.size(); ++i) {
        const int64_t at = first_difference(expected[i], got[i]);
        if (at < 0) continue;
        FAIL_CHECK(report(rung, c, c.schedule, i, at, expected[i], got[i]));
        break;
      }
    }
  }
}
