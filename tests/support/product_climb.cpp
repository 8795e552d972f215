#include "tests/support/product_climb.h"

#include <doctest/doctest.h>

#include "backends/llvm_module.h"
#include "backends/reference/interpreter.h"
#include "backends/simd/simd.h"
#include "ir/kernel_text.h"
#include "ir/kernel_verify.h"
#include "tests/support/kernel_run.h"

namespace lathe {
namespace {

Tensor interpreted(const KernelCase& c) {
  const Result<bool> sound = verify_kernel(c.kernel, KernelStage::Expanded);
  REQUIRE_MESSAGE(sound.ok(), sound.error() << "\n" << print_kernel(c.kernel));
  std::vector<Tensor> tensors = clone_all(c.tensors);
  run_kernel(*interpret_kernel(c.kernel, {}, Target{}), c.kernel, {}, tensors);
  return std::move(tensors[2]);
}

void expect_same(const KernelCase& c, const CompiledKernel& compiled, const Target& target,
                 const Tensor& expected, int threads) {
  std::vector<Tensor> tensors = clone_all(c.tensors);
  run_kernel(compiled, c.kernel, c.schedule, tensors, threads);
  const int64_t at = first_difference(expected, tensors[2]);
  if (at < 0) return;
  FAIL_CHECK(fmt::format("{} on {} ({}): element {} is {}, expected {}\n{}",
                         compiled.implementation, name(target.isa), print_schedule(c.schedule), at,
                         tensors[2].at(at), expected.at(at), print_kernel(c.kernel)));
}

}  // namespace

int64_t climb_products(const std::vector<KernelCase>& cases,
                       const std::vector<ProductMachine>& machines, std::string_view instruction,
                       const std::function<bool(const Target& target, size_t k)>& agrees) {
  std::vector<Tensor> expected;
  for (const KernelCase& c : cases) expected.push_back(interpreted(c));
  const auto llvm = LlvmBackend::open();
  if (!llvm) MESSAGE("without llvm: " << llvm.error());
  int64_t named = 0;
  for (const auto& [target, options] : machines) {
    for (size_t i = 0; i < cases.size() && options.llvm.instructions == Isa::scalar; ++i)
      if (agrees(target, i))
        expect_same(cases[i], *simd_kernel(cases[i].kernel, cases[i].schedule, target), target,
                    expected[i], 1);
    if (!llvm) continue;
    std::vector<KernelJob> jobs;
    for (size_t i = 0; i < cases.size(); ++i)
      jobs.push_back({&cases[i].kernel, cases[i].schedule, fmt::format("k{}", i)});
    const auto compiled = compile_native(jobs, target, options);
    REQUIRE_MESSAGE(compiled.ok(), compiled.error());
    for (size_t i = 0; i < cases.size(); ++i) {
      named += (*compiled)[i].implementation.find(instruction) != std::string::npos;
      if (agrees(target, i))
        expect_same(cases[i], (*compiled)[i], target, expected[i], 1 + static_cast<int>(i % 2));
    }
  }
  return llvm ? named : -1;
}

}  // namespace lathe
