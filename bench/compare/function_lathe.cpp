// Lathe: the kernel of a graph of one function, called as the executable calls it.
#include "backends/compile.h"
#include "bench/compare/function.h"
#include "frontend/nn/activation.h"
#include "ir/base/error.h"

namespace lathe::compare {
namespace {

Expr call_by_name(const std::string& name, const Expr& x) {
  if (name == "exp") return exp(x);
  if (name == "erf") return erf(x);
  if (name == "tanh") return tanh(x);
  if (name == "sigmoid") return nn::activate(nn::Activation::Sigmoid, x);
  LATHE_ASSERT(name == "gelu", "no function '{}'", name);
  return nn::activate(nn::Activation::Gelu, x);
}

}  // namespace

std::function<void()> prepare_function(const Function& f) {
  Graph graph("function");
  graph.add_output("y", call_by_name(f.name, input(graph, "x", {DType::f32, Shape{f.size}})).value);
  CompileOptions options = compile_options();
  options.threads = 1;
  const Program program = compile_program(graph, options);
  LATHE_ASSERT(program.kernels.size() == 1 && program.kernels[0].operands.size() == 2,
               "{} is not one kernel of an input and an output", f.name);
  const KernelSchedule& schedule = program.schedules[0];
  const int64_t extent =
      schedule.parallel < 0 ? 1 : program.kernels[0].par[static_cast<size_t>(schedule.parallel)];
  const CompiledKernel kernel =
      select_kernels(program, options.target, options.backend, options.threads).front();
  return [kernel, extent, f] {
    void* args[] = {const_cast<float*>(f.x), f.y};
    kernel.fn(args, 0, extent, kernel.context);
  };
}

}  // namespace lathe::compare
