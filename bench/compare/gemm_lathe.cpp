// Lathe: a graph of one contraction with a constant, compiled like any other.
#include "backends/compile.h"
#include "bench/compare/gemm.h"
#include "ir/expr.h"

namespace lathe::compare {

std::function<void()> prepare_gemm(const Gemm& g, int threads) {
  const auto [model, m, n, k] = g.shape;
  Graph graph("gemm");
  const Expr a = input(graph, "a", {DType::f32, {m, k}});
  Tensor b = Tensor::empty(DType::f32, {k, n});
  std::copy(g.b, g.b + k * n, b.mutable_data<float>());
  graph.add_output("c", matmul(a, constant(graph, std::move(b))).value);
  CompileOptions options = compile_options();
  options.threads = threads;
  options.wait_compile = true;
  const std::shared_ptr<Executable> executable = compile(graph, options);
  return [executable, g] {
    void* const in[] = {const_cast<float*>(g.a)};
    void* const out[] = {g.c};
    executable->run(in, out);
  };
}

}  // namespace lathe::compare
