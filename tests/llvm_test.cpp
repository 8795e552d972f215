// The LLVM backend against the scalar interpreter, to the bit, on every ISA this machine has.
#include <doctest/doctest.h>

#include "backends/llvm_module.h"
#include "backends/reference/interpreter.h"
#include "ir/kernel_text.h"
#include "runtime/cpu.h"
#include "tests/support/kernel_gen.h"
#include "tests/support/kernel_run.h"

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
  LlvmOptions options;
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
                   {.instructions = Isa::avx2},
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

// Compares the cases [first, last) and gives how many differ.
void compare(const Row& row, uint64_t first, uint64_t last) {
  std::vector<KernelCase> cases;
  for (uint64_t seed = first; seed < last; ++seed) {
    cases.push_back(random_kernel(seed));
    if (!row.exact && uses_fma(cases.back().kernel)) cases.pop_back();
  }
  std::vector<KernelJob> jobs;
  for (size_t i = 0; i < cases.size(); ++i)
    jobs.push_back({&cases[i].kernel, cases[i].schedule, fmt::format("k{}", i)});
  const auto compiled = backend()->compile(jobs, row.target, row.options);
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

}  // namespace

TEST_CASE("compiled random kernels give the interpreter's bits") {
  if (!backend()) return;
  constexpr uint64_t kBatch = 20;
  for (const Row& row : rows())
    for (uint64_t first = 0; first < 400; first += kBatch) compare(row, first, first + kBatch);
}
