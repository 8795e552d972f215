// Gradients of every row of the case table against central differences of the reference
// evaluation, which is in double; orders 1 and 2, along random directions.
#include <doctest/doctest.h>

#include <cmath>
#include <random>

#include "ir/eval.h"
#include "ir/op.h"
#include "passes/autodiff.h"
#include "tests/support/op_cases.h"

namespace lathe {
namespace {

std::vector<int> float_inputs(const Graph& g) {
  std::vector<int> out;
  for (size_t i = 0; i < g.inputs().size(); ++i)
    if (is_float(g.inputs()[i].type.dtype)) out.push_back(static_cast<int>(i));
  return out;
}

Tensor random_like(const TensorType& type, std::mt19937& random) {
  Tensor t = Tensor::empty(type.dtype, type.shape.static_dims());
  std::uniform_real_distribution<double> uniform(-1, 1);
  for (int64_t i = 0; i < t.size(); ++i) t.set(i, uniform(random));
  return t;
}

// A graph whose one output is a random linear form of the float values among `values`.
Graph with_loss(Graph g, const std::vector<Value>& values, std::mt19937& random) {
  Expr loss;
  for (const Value& v : values) {
    const Expr e{&g, v};
    if (!is_float(e.dtype())) continue;
    Dims axes;
    for (int a = 0; a < e.rank(); ++a) axes.push_back(a);
    Expr term = reduce_sum(e * constant(g, random_like(e.type(), random)), axes);
    if (loss.defined() && term.dtype() != loss.dtype()) term = cast(term, loss.dtype());
    loss = loss.defined() ? loss + term : term;
  }
  if (!loss.defined()) return g;
  g.set_outputs({{"loss", loss.value, -1}});
  return g;
}

std::vector<Value> output_values(const Graph& g, size_t from) {
  std::vector<Value> out;
  for (size_t i = from; i < g.outputs().size(); ++i) out.push_back(g.outputs()[i].value);
  return out;
}

using Point = std::vector<EvalTensor>;

Point moved(const Point& x, const Point& direction, double step) {
  Point out = x;
  for (size_t k = 0; k < x.size(); ++k)
    for (size_t i = 0; i < x[k].f.size(); ++i) out[k].f[i] += step * direction[k].f[i];
  return out;
}

// Output 0 of `derivative` is a scalar; the others are its gradients with respect to `wrt`.
void check_direction(const Graph& derivative, const std::vector<int>& wrt, const Point& x,
                     double tolerance, std::mt19937& random) {
  Point direction;
  for (size_t k = 0; k < x.size(); ++k)
    direction.emplace_back(is_float(x[k].dtype)
                               ? random_like({x[k].dtype, Shape(x[k].dims)}, random)
                               : Tensor::zeros(x[k].dtype, x[k].dims));
  const Point at = evaluate(derivative, x);
  double slope = 0, scale = 1;
  for (size_t k = 0; k < wrt.size(); ++k) {
    const EvalTensor& d = direction[static_cast<size_t>(wrt[k])];
    REQUIRE(at[k + 1].f.size() == d.f.size());
    for (size_t i = 0; i < d.f.size(); ++i) {
      slope += at[k + 1].f[i] * d.f[i];
      scale += std::fabs(at[k + 1].f[i] * d.f[i]);
    }
  }
  constexpr double step = 1e-4;
  const double up = evaluate(derivative, moved(x, direction, step))[0].f[0];
  const double down = evaluate(derivative, moved(x, direction, -step))[0].f[0];
  CHECK(std::fabs((up - down) / (2 * step) - slope) <= tolerance * scale);
}

void check_case(const OpCase& c) {
  CAPTURE(c.name);
  std::mt19937 random(7);
  const Graph plain = build_case(c);
  const std::vector<int> wrt = float_inputs(plain);
  Graph g = with_loss(plain, output_values(plain, 0), random);
  if (wrt.empty() || g.outputs()[0].name != "loss") return;
  // Central differences err by step^2 times the third derivative. A cast rounds even in the
  // reference, to an ulp that is not small beside the step.
  const double tolerance = c.op == OpId::cast ? 0.1 : 1e-4;
  Point x;
  for (const Tensor& t : sample_inputs(plain, c)) x.emplace_back(t);
  for (int order = 1; order <= 2; ++order) {
    CAPTURE(order);
    const Graph derivative = gradient_graph(g, 0, wrt);
    check_direction(derivative, wrt, x, tolerance, random);
    g = with_loss(derivative, output_values(derivative, 1), random);
  }
}

}  // namespace

TEST_CASE("gradients of orders 1 and 2 agree with differences for every row") {
  int checked = 0;
  for (const OpCase& c : op_cases()) {
    if (!c.differentiable || !op_def(c.op).no_gradient.empty()) continue;
    check_case(c);
    ++checked;
  }
  CHECK(checked > 0);
}

TEST_CASE("stop_gradient is a constant to the gradient") {
  Graph g;
  const Expr x = input(g, "x", {DType::f32, Shape{3}});
  g.add_output("loss", reduce_sum(x * stop_gradient(x), {0}).value);
  const Graph d = gradient_graph(g, 0, {0});
  CHECK(evaluate(d, Point{EvalTensor(Tensor::from<float>({3}, {1, -2, 3}))})[1].f ==
        std::vector<double>{1, -2, 3});
}

}  // namespace lathe
