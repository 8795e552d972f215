// A tiered start: xsimd's kernels first, LLVM's when they are there, and no bit tells them apart.
#include "backends/tiered.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "ir/expr.h"
#include "runtime/cpu.h"
#include "tests/support/fill.h"
#include "tests/support/project.h"
#include "tests/support/scratch.h"

namespace lathe {
namespace {

using testing::Captured;
using testing::check_names;
using testing::lathe_program;
using testing::Project;
using testing::run_program;

// A product and a softmax over it: several kernels, one of each kind.
Graph attention_row() {
  Graph g("row");
  const Expr x = input(g, "x", {DType::f32, {24, 40}}), w = input(g, "w", {DType::f32, {40, 56}});
  const Expr e = exp(matmul(x, w));
  g.add_output("y", (e / expand_dims(reduce_sum(e, {1}), 1)).value);
  return g;
}

CompileOptions tiered_options() {
  CompileOptions o = compile_options();
  o.threads = 2;
  o.wait_compile = false;
  o.on_fallback = [](const Fallback& f) { FAIL_CHECK("passed over: " << f.reason); };
  return o;
}

std::vector<Tensor> inputs() {
  std::vector<Tensor> out = {Tensor::empty(DType::f32, {24, 40}),
                             Tensor::empty(DType::f32, {40, 56})};
  for (Tensor& t : out)
    for (int64_t i = 0; i < t.size(); ++i) t.set(i, static_cast<double>(i * 37 % 101) / 50 - 1);
  return out;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())) == 0;
}

bool all_llvm(Executable& e) {
  e.profile(true);
  return std::ranges::all_of(e.times(), [](const Executable::KernelTime& k) {
    return k.name.find("[llvm/") != std::string::npos;
  });
}

bool possible() {
  if (may_tier(tiered_options())) return true;
  MESSAGE("skipped: needs LLVM and a machine with FMA");
  return false;
}

TEST_CASE(
    "the first run does not wait for LLVM, later ones use its kernels, all give the same bits") {
  if (!possible()) return;
  CompileOptions waiting = tiered_options();
  waiting.backend = Backend::Llvm;
  const Tensor expected = compile(attention_row(), waiting)->run(inputs())[0];
  const auto executable = compile(attention_row(), tiered_options());
  for (int run = 0; run < 3; ++run) CHECK(same_bits(executable->run(inputs())[0], expected));
  executable->wait_for_kernels();
  CHECK(same_bits(executable->run(inputs())[0], expected));
  CHECK(all_llvm(*executable));
}

TEST_CASE("an executable may go while its kernels are still on their way") {
  if (!possible()) return;
  Tensor first;
  for (int i = 0; i < 8; ++i) {
    const auto executable = compile(attention_row(), tiered_options());
    if (i % 2 == 0) continue;
    const Tensor got = executable->run(inputs())[0];
    if (first.size() == 0) first = got;
    CHECK(same_bits(got, first));
  }
}

TEST_CASE("nothing is tiered where it was not asked for or could change bits") {
  CompileOptions o = tiered_options();
  o.wait_compile = true;
  CHECK_FALSE(may_tier(o));
  o = tiered_options();
  o.target.isa = Isa::sse42;
  CHECK_FALSE(may_tier(o));
  o = tiered_options();
  o.backend = Backend::Llvm;
  CHECK_FALSE(may_tier(o));
}

TEST_CASE("a second process finds the first one's kernels, and --wait-compile begins with LLVM's") {
  if (!possible()) return;
  const Project p;
  const auto run = [&](const std::string& folder, std::vector<std::string> more) {
    std::vector<std::string> arguments = {lathe_program(), "run",     p.model, "--random", "1",
                                          "--dim",         "length=4"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(
        arguments, {"LATHE_CACHE_DIR=" + folder, "LATHE_WAIT_COMPILE=", "LATHE_VERBOSE=dispatch"});
  };
  const testing::ScratchFolder folder;
  const Captured first = run(folder.path("kept"), {}), second = run(folder.path("kept"), {}),
                 waiting = run(folder.path("other"), {"--wait-compile"});
  check_names(first.err, {"begin on xsimd while LLVM compiles"});
  check_names(second.err, {"from the cache"});
  check_names(waiting.err, {"llvm/"});
  CHECK(first.status == 0);
  CHECK(second.out == first.out);
  CHECK(waiting.out == first.out);
}

}  // namespace
}  // namespace lathe
