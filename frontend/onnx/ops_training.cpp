// ai.onnx.preview.training: gradients of a part of the graph, and the updates of optimisers.
#include "frontend/onnx/row.h"
#include "passes/autodiff.h"

namespace lathe::onnx {
namespace {

// The derivative of the sum of y with respect to each of xs, at the values given for xs and zs.
void gradient(OpContext& c) {
  const std::vector<std::string> xs = c.attr_texts("xs");
  const std::string y = c.attr_text("y");
  std::vector<std::string> names = xs;
  if (c.has_attribute("zs"))
    for (const std::string& z : c.attr_texts("zs")) names.push_back(z);
  if (std::ssize(names) != c.inputs())
    fail("{} inputs for {} names in xs and zs", c.inputs(), names.size());
  const auto traced = c.region(names, y);
  if (!traced.region) c.unsupported("'{}' cannot be differentiated: {}", y, traced.why_not);

  Graph loss("loss");
  std::vector<Expr> inputs;
  for (const GraphInput& in : traced.region->inputs())
    inputs.push_back(input(loss, in.name, in.type));
  const Expr out = inline_graph(loss, *traced.region, inputs)[0];
  if (!is_float(out.dtype())) fail("'{}' is {}, floats were expected", y, out.type().text());
  loss.add_output(y, reduce_sum(out, range(0, out.rank())).value);
  std::vector<int> wanted;
  for (int i = 0; i < static_cast<int>(xs.size()); ++i) wanted.push_back(i);
  std::vector<Expr> operands = c.exprs();
  operands.insert(operands.end(), traced.captured.begin(), traced.captured.end());
  const std::vector<Expr> results =
      inline_graph(c.graph(), gradient_graph(loss, 0, wanted), operands);
  for (size_t i = 0; i < xs.size(); ++i) c.out(results[i + 1]);
}

// The inputs of an optimiser: learning rate, number of updates, then for each optimised tensor its
// value, its gradient and what the optimiser keeps, kind by kind.
class Update {
 public:
  Update(OpContext& c, int kinds) : c_(c), count_((c.inputs() - 2) / kinds) {
    if (c.inputs() < 2 + kinds || (c.inputs() - 2) % kinds != 0)
      fail("{} inputs, two and {} for each optimised tensor were expected", c.inputs(), kinds);
  }
  int count() const { return count_; }
  Expr get(int kind, int tensor) const { return c_.expr(2 + kind * count_ + tensor); }
  void set(int kind, int tensor, const Expr& value) const { c_.out(kind * count_ + tensor, value); }
  // Scalars in the type of a tensor.
  Expr rate(const Expr& x) const { return reshape(cast(c_.expr(0), x.dtype()), Shape{}); }
  Expr updates(const Expr& x) const { return reshape(cast(c_.expr(1), x.dtype()), Shape{}); }

 private:
  OpContext& c_;
  int count_;
};

void adagrad(OpContext& c) {
  const Update u(c, 3);
  const double decay = c.attr_float("decay_factor", 0), epsilon = c.attr_float("epsilon", 1e-6);
  const double norm = c.attr_float("norm_coefficient", 0);
  for (int i = 0; i < u.count(); ++i) {
    const Expr x = u.get(0, i), g = x * norm + u.get(1, i);
    const Expr squares = u.get(2, i) + g * g;
    const Expr rate = u.rate(x) / (u.updates(x) * decay + 1.0);
    u.set(0, i, x - rate * g / (sqrt(squares) + epsilon));
    u.set(1, i, squares);
  }
}

void adam(OpContext& c) {
  const Update u(c, 4);
  const double alpha = c.attr_float("alpha", 0.9), beta = c.attr_float("beta", 0.999);
  const double epsilon = c.attr_float("epsilon", 1e-6);
  const double norm = c.attr_float("norm_coefficient", 0);
  const double after = c.attr_float("norm_coefficient_post", 0);
  for (int i = 0; i < u.count(); ++i) {
    const Expr x = u.get(0, i), g = x * norm + u.get(1, i), t = u.updates(x);
    const Expr mean = u.get(2, i) * alpha + g * (1 - alpha);
    const Expr square = u.get(3, i) * beta + g * g * (1 - beta);
    const Expr correction = sqrt(1.0 - pow(full_like(t, beta), t)) /
                            (1.0 - pow(full_like(t, alpha), t));  // of averages that began at 0
    const Expr rate = u.rate(x) * select(lt(full_like(t, 0), t), correction, full_like(t, 1));
    u.set(0, i, (x - rate * (mean / (sqrt(square) + epsilon))) * (1 - after));
    u.set(1, i, mean);
    u.set(2, i, square);
  }
}

void momentum(OpContext& c) {
  const Update u(c, 3);
  const double alpha = c.attr_float("alpha"), beta = c.attr_float("beta");
  const double norm = c.attr_float("norm_coefficient");
  const std::string mode = c.attr_text("mode");
  if (mode != "standard" && mode != "nesterov")
    fail("mode is '{}'; standard or nesterov was expected", mode);
  for (int i = 0; i < u.count(); ++i) {
    const Expr x = u.get(0, i), g = x * norm + u.get(1, i), t = u.updates(x);
    // The first gradient counts in full.
    const Expr share = select(lt(full_like(t, 0), t), full_like(t, beta), full_like(t, 1));
    const Expr velocity = u.get(2, i) * alpha + share * g;
    u.set(0, i, x - u.rate(x) * (mode == "standard" ? velocity : g + velocity * alpha));
    u.set(1, i, velocity);
  }
}

constexpr OpRow kRows[] = {
    {"Adagrad", 1, adagrad},
    {"Adam", 1, adam},
    {"Gradient", 1, gradient},
    {"Momentum", 1, momentum},
};

}  // namespace

std::span<const OpRow> training_rows() { return kRows; }

}  // namespace lathe::onnx
