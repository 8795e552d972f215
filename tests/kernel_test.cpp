#include <doctest/doctest.h>

#include "backends/reference/interpreter.h"
#include "tests/support/kernel_run.h"

using namespace lathe;

TEST_CASE("a contraction over [2,3] x [3,2] is the matrix product with a bias after it") {
  Kernel k;
  k.operands = {{DType::f32, 6, OperandRole::In},
                {DType::f32, 6, OperandRole::In},
                {DType::f32, 4, OperandRole::Out}};
  k.par = {2, 2};
  k.red = {3};
  k.core = Core::Reduce;
  const IndexExpr m = IndexExpr::symbol(0), n = IndexExpr::symbol(1), r = IndexExpr::symbol(2);
  k.body.resize(5);
  k.body[0].op = Scalar::Load;
  k.body[0].access = {0, m * 3 + r, {}};
  k.body[1].op = Scalar::Load;
  k.body[1].access = {1, r * 2 + n, {}};
  k.pre = 2;
  k.reductions = {{Combine::Fma, DType::f32, 0, 1}};
  k.body[2].op = Scalar::Acc;
  k.body[3].op = Scalar::Const;
  k.body[3].number = 0.5;
  k.body[4].op = Scalar::Add;
  k.body[4].args = {2, 3, -1};
  k.stores = {{{2, m * 2 + n, {}}, 4, Combine::Assign}};

  const KernelSchedule s{.parallel = 0};
  std::vector<Tensor> t = {Tensor::from<float>({6}, {1, 2, 3, 4, 5, 6}),
                           Tensor::from<float>({6}, {1, 10, 2, 20, 3, 30}),
                           Tensor::zeros(DType::f32, {4})};
  Result<CompiledKernel> compiled = interpret_kernel(k, s, Target{});
  REQUIRE(compiled.ok());
  run_kernel(*compiled, k, s, t, 2);
  CHECK(first_difference(t[2], Tensor::from<float>({4}, {14.5f, 140.5f, 32.5f, 320.5f})) == -1);
}
