// No backend is passed over silently.
#include <doctest/doctest.h>

#include <algorithm>

#include "backends/compile.h"
#include "ir/expr.h"
#include "tests/support/project.h"

namespace lathe {
namespace {

using testing::Captured;
using testing::check_names;
using testing::lathe_program;
using testing::Project;
using testing::run_program;

Graph doubled() {
  Graph g("doubled");
  const Expr x = input(g, "x", {DType::f32, {4}});
  g.add_output("y", (x + x).value);
  return g;
}

TEST_CASE("a library user is told which backend was passed over and why") {
  CompileOptions options = compile_options();
  options.threads = 1;
  options.target.isa = Isa::scalar;  // neither LLVM nor xsimd makes code for it
  std::vector<Fallback> told;
  options.on_fallback = [&](const Fallback& f) { told.push_back(f); };
  const auto executable = compile(doubled(), options);
  REQUIRE(told.size() == 2);
  CHECK(told[0].from == Backend::Llvm);
  CHECK(told[0].to == Backend::Simd);
  CHECK_FALSE(told[0].reason.empty());
  CHECK(told[1].from == Backend::Simd);
  CHECK(told[1].to == Backend::Interpreter);
#ifdef LATHE_WITH_LLVM
  check_names(told[0].reason, {"SSE4.2"});
#endif
  CHECK(executable->run({Tensor::from<float>({4}, {1, 2, 3, 4})})[0].at(3) == 8);
  options.backend = Backend::Simd;
  compile(doubled(), options);
  REQUIRE(told.size() == 3);
  CHECK(told[2].from == Backend::Simd);
}

TEST_CASE("the command line warns once where LLVM cannot be opened, unless xsimd was chosen") {
  const Project p;
  const auto lathe = [](std::vector<std::string> arguments, const std::string& backend) {
    arguments.insert(arguments.begin(), lathe_program());
    arguments.insert(arguments.end(), {"--backend", backend});
    return run_program(arguments, {"LATHE_LLVM_SO=/nowhere/liblathe_llvm.so"});
  };
  const std::vector<std::string> run = {"run", p.model, "--random", "1", "--dim", "length=4"};
  const Captured fallen = lathe(run, "auto"), chosen = lathe(run, "simd");
  CHECK(fallen.status == 0);
  CHECK(std::ranges::count(fallen.err, '\n') == 1);
#ifdef LATHE_WITH_LLVM
  check_names(fallen.err, {"warning", "llvm", "/nowhere/liblathe_llvm.so", "--backend simd"});
#else
  check_names(fallen.err, {"warning", "built without LLVM", "--backend simd"});
#endif
  CHECK(chosen.status == 0);
  CHECK(chosen.err.empty());
  CHECK(chosen.out == fallen.out);
  const Captured refused = lathe(run, "llvm");
  CHECK(refused.status == 1);
  CHECK(refused.out.empty());
  check_names(refused.err, {"llvm backend cannot be used"});

  // Three executables: full batches, the last one, and the evaluation's.
  const Captured trained = lathe({"train", p.model, "--data", p.data, "--eval", p.data, "--maxlen",
                                  "6", "--epochs", "1", "--batch", "16", "-o", p.run},
                                 "auto");
  CHECK(trained.status == 0);
  const size_t first = trained.err.find("warning");
  CHECK(first != std::string::npos);
  CHECK(trained.err.find("warning", first + 1) == std::string::npos);
}

}  // namespace
}  // namespace lathe
