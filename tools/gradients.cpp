#include "tools/gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "frontend/onnx/reader.h"
#include "passes/autodiff.h"
#include "passes/rebuild.h"
#include "passes/widen.h"
#include "tools/data_set.h"

namespace lathe::tools {
namespace {

// Of the differences, the next where one disagrees: where a unit passes a kink on the way (a ReLU's
// zero) a tenth of the step mostly does not, and a wrong gradient disagrees with both.
constexpr double kSteps[] = {1e-6, 1e-7};
constexpr double kAgrees = 1e-5;  // relatively

using Point = std::vector<Tensor>;  // a value for each of the graph's inputs

class Uniform {
 public:
  double operator()() { return uniform_(random_); }  // in [-1, 1)

 private:
  std::mt19937_64 random_{7};
  std::uniform_real_distribution<double> uniform_{-1, 1};
};

// The graph whose one output is a random linear form of the float outputs.
Graph with_loss(Graph g, Uniform& random) {
  Expr loss;
  for (const GraphOutput& out : std::vector<GraphOutput>(g.outputs())) {
    const Expr y{&g, out.value};
    if (!is_float(y.dtype())) continue;
    Tensor weights = Tensor::empty(y.dtype(), y.shape().static_dims());
    for (int64_t i = 0; i < weights.size(); ++i) weights.set(i, random());
    Dims axes;
    for (int i = 0; i < y.rank(); ++i) axes.push_back(i);
    const Expr term = reduce_sum(y * constant(g, weights), axes);
    loss = loss.defined() ? loss + cast(term, loss.dtype()) : term;
  }
  if (!loss.defined()) fail("the model has no output of floats");
  g.set_outputs({{"loss", loss.value, -1}});
  return Rebuilder::run(g);
}

// Numbers about as large as x; of 0 a thousandth of what is usual in it, and of infinity nothing.
std::vector<double> sizes(const Tensor& x) {
  std::vector<double> out;
  double sum = 0;
  int64_t finite = 0;
  for (int64_t i = 0; i < x.size(); ++i) {
    const double size = std::fabs(x.at(i));
    out.push_back(size < 1e30 ? size : 0);
    sum += out.back() * out.back();
    finite += size < 1e30 ? 1 : 0;
  }
  const double usual = sum > 0 ? std::sqrt(sum / static_cast<double>(finite)) : 1;
  for (int64_t i = 0; i < x.size(); ++i)
    if (x.at(i) == 0) out[static_cast<size_t>(i)] = usual * 1e-3;
  return out;
}

// x + step * direction in double, where there is one.
Tensor moved(const Tensor& x, const std::vector<double>& direction, double step) {
  if (direction.empty()) return x;
  Tensor out = Tensor::empty(DType::f64, x.dims());
  for (int64_t i = 0; i < x.size(); ++i)
    out.set(i, x.at(i) + step * direction[static_cast<size_t>(i)]);
  return out;
}

std::vector<double> random_direction(const Tensor& x, Uniform& random) {
  std::vector<double> out = sizes(x);
  for (double& v : out) v *= random();
  return out;
}

Point starting_point(const Graph& g, const Model& model, const Feeds& values,
                     const std::vector<int>& wrt, Uniform& random) {
  Point out;
  for (const GraphInput& in : g.inputs()) {
    const Tensor* weight = model.weights.find(in.name);
    const Tensor& t = weight != nullptr ? *weight : values.at(in.name);
    out.push_back(is_float(in.type.dtype) ? converted(t, DType::f64) : converted(t, in.type.dtype));
  }
  for (const int k : wrt) {
    Tensor& x = out[static_cast<size_t>(k)];
    x = moved(x, random_direction(x, random), 0.01);
  }
  return out;
}

struct Group {
  std::string name;
  std::vector<int> inputs;
};

// All weights together, the largest by itself, all inputs together.
std::vector<Group> groups(const Graph& g, const std::vector<int>& wrt) {
  Group weights{"weights", {}}, data{"inputs", {}};
  int largest = -1;
  const auto count = [&](int k) {
    return g.inputs()[static_cast<size_t>(k)].type.shape.element_count();
  };
  for (const int k : wrt) {
    const bool is_data = g.inputs()[static_cast<size_t>(k)].role == InputRole::Data;
    (is_data ? data : weights).inputs.push_back(k);
    if (!is_data && (largest < 0 || count(k) > count(largest))) largest = k;
  }
  std::vector<Group> out;
  if (largest >= 0) {
    out.push_back(std::move(weights));
    out.push_back({fmt::format("'{}'", g.inputs()[static_cast<size_t>(largest)].name), {largest}});
  }
  if (!data.inputs.empty()) out.push_back(std::move(data));
  return out;
}

Point run(const Graph& g, const Compute& compute, const Point& x) {
  return compile(g, compile_options(compute))->run(x);
}

// Relative, of all gradients as one vector.
double distance(const Point& rounded, const Point& exact) {
  double apart = 0, size = 0;
  for (size_t k = 1; k < exact.size(); ++k)
    for (int64_t i = 0; i < exact[k].size(); ++i) {
      const double d = rounded[k].at(i) - exact[k].at(i);
      apart += d * d;
      size += exact[k].at(i) * exact[k].at(i);
    }
  return size > 0 ? std::sqrt(apart / size) : std::sqrt(apart);
}

}  // namespace

double GradientCheck::Along::error() const {
  if (slope == difference) return 0;
  return std::fabs(slope - difference) / std::max(std::fabs(slope), std::fabs(difference));
}

GradientCheck check_gradients(const Model& model, const Feeds& values, const Compute& compute) {
  Uniform random;
  const Graph loss = with_loss(model.graph, random);
  std::vector<int> wrt;
  for (size_t k = 0; k < loss.inputs().size(); ++k) {
    const GraphInput& in = loss.inputs()[k];
    const bool held = in.role != InputRole::Data && in.type.shape.element_count() <= 1;
    if (is_float(in.type.dtype) && !held) wrt.push_back(static_cast<int>(k));
  }
  if (wrt.empty()) fail("the model has no weights and no inputs of floats");
  check_differentiable(loss, {0}, wrt);
  const Graph gradients = gradient_graph(loss, 0, wrt), exact = widen(gradients);

  const Point x = starting_point(loss, model, values, wrt, random);
  const Point at = run(exact, compute, x);
  const auto forward = compile(widen(loss), compile_options(compute));
  GradientCheck out;
  for (const Group& group : groups(loss, wrt)) {
    GradientCheck::Along along{group.name};
    std::vector<std::vector<double>> direction(x.size());
    for (const int k : group.inputs) {
      const auto i = static_cast<size_t>(k);
      const std::vector<double>& d = direction[i] = random_direction(x[i], random);
      const Tensor& gradient =
          at[1 + static_cast<size_t>(std::find(wrt.begin(), wrt.end(), k) - wrt.begin())];
      for (int64_t e = 0; e < gradient.size(); ++e)
        along.slope += gradient.at(e) * d[static_cast<size_t>(e)];
    }
    const auto value = [&](double step) {
      Point at_step;
      for (size_t i = 0; i < x.size(); ++i) at_step.push_back(moved(x[i], direction[i], step));
      return forward->run(at_step)[0].at(0);
    };
    double least = INFINITY;
    for (const double step : kSteps) {
      GradientCheck::Along tried = along;
      tried.difference = (value(step) - value(-step)) / (2 * step);
      if (tried.error() < least) least = tried.error(), along.difference = tried.difference;
      if (least <= kAgrees) break;
    }
    out.along.push_back(std::move(along));
  }
  Point own;
  for (size_t k = 0; k < x.size(); ++k) own.push_back(converted(x[k], loss.inputs()[k].type.dtype));
  out.rounding = distance(run(gradients, compute, own), at);
  return out;
}

Outcome check_case_gradients(const CheckCase& c, const CheckOptions& o) {
  const std::string path = c.model.string();
  if (!is_onnx(path)) return {Outcome::Kind::Skipped, "--gradients is for ONNX models"};
  const auto model = onnx::read_model(path, o.limits);
  const OnnxInputs inputs = recorded_inputs(c.data, *model);
  DimBinding dims;
  onnx::infer_dims(*model, inputs, dims);
  const Model graph = onnx::load_graph(model, dims, true);
  Feeds values;
  for (const auto& [name, value] : inputs) values[name] = value.known.numbers;
  GradientCheck found;
  try {
    found = check_gradients(graph, values, o.compute);
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("{}: {}", path, e.what()));
  }
  std::string text;
  bool good = found.rounding <= o.rtol;
  for (const GradientCheck::Along& a : found.along) {
    text += fmt::format("{} {:.1e}, ", a.of, a.error());
    good &= a.error() <= o.rtol;
  }
  text += fmt::format("rounding {:.1e}", found.rounding);
  return {good ? Outcome::Kind::Passed : Outcome::Kind::Failed, text};
}

}  // namespace lathe::tools
