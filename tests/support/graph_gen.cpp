#include "tests/support/graph_gen.h"

#include <algorithm>

#include "ir/expr.h"
#include "tests/support/random.h"

namespace lathe {
namespace {

class GraphGenerator {
 public:
  explicit GraphGenerator(uint64_t seed) : random_(seed) {}

  RandomGraph run() {
    const int inputs = 1 + static_cast<int>(random_.below(3));
    for (int i = 0; i < inputs; ++i) values_.push_back(float_input(random_shape()));
    const int steps = 3 + static_cast<int>(random_.below(14));
    for (int i = 0; i < steps; ++i) grow();
    // The last value and one more, so that values have several users.
    graph_.add_output("last", values_.back().value);
    graph_.add_output("other", pick().value);
    RandomGraph out{graph_, {}};
    for (const GraphInput& in : graph_.inputs()) out.inputs.push_back(fill(in.type));
    return out;
  }

 private:
  Dims random_shape() {
    Dims dims;
    const int64_t rank = 1 + random_.below(3);
    for (int64_t i = 0; i < rank; ++i)
      dims.push_back(random_.below(6) == 0 ? 1 + random_.below(40) : 1 + random_.below(7));
    return dims;
  }

  Expr float_input(const Dims& dims) {
    return input(graph_, fmt::format("x{}", graph_.inputs().size()), {DType::f32, Shape(dims)});
  }

  Tensor fill(const TensorType& type) {
    Tensor t = Tensor::empty(type.dtype, type.shape.static_dims());
    for (int64_t i = 0; i < t.size(); ++i) {
      if (is_float(type.dtype)) t.set(i, static_cast<double>(random_.below(4001)) / 1000 - 2);
      else t.set_int(i, random_.below(7) - 1);
    }
    return t;
  }

  Expr pick() { return random_.pick(values_); }
  Dims dims(const Expr& x) { return x.shape().static_dims(); }
  int64_t axis_of(const Expr& x) { return static_cast<int64_t>(random_.below(x.rank())); }

  void push(const Expr& x) {
    if (x.shape().element_count() > 20000 || x.rank() > 4) return;
    values_.push_back(x);
  }

  // Another value of the same shape, or a new input.
  Expr partner(const Expr& x) {
    for (int i = 0; i < 4; ++i) {
      const Expr y = pick();
      if (y.shape() == x.shape()) return y;
    }
    return float_input(dims(x));
  }

  Expr unary(const Expr& x) {
    switch (random_.below(9)) {
      case 0: return tanh(x);
      case 1: return sigmoid(x);
      case 2: return exp(min(x, 1.0));
      case 3: return sqrt(abs(x) + 0.25);
      case 4: return neg(x);
      case 5: return sin(x);
      case 6: return log(abs(x) + 0.5);
      case 7: return max(x, 0.0);
      default: return x * 0.5 + 0.125;
    }
  }

  Expr binary(const Expr& x) {
    const Expr y = partner(x);
    switch (random_.below(6)) {
      case 0: return x + y;
      case 1: return x - y;
      case 2: return tanh(x) * y;
      case 3: return max(x, y);
      case 4: return select(lt(x, y), x, y * 0.5);
      default: return x / (abs(y) + 1.0);
    }
  }

  Expr view(const Expr& x) {
    const int64_t axis = axis_of(x);
    const Dims d = dims(x);
    const int64_t extent = d[static_cast<size_t>(axis)];
    switch (random_.below(7)) {
      case 0: {
        Dims perm;
        for (int i = 0; i < x.rank(); ++i) perm.push_back((i + 1) % x.rank());
        return transpose(x, perm);
      }
      case 1: return reshape(x, Shape{Dim(element_count(d))});
      case 2: {
        const auto start = random_.below(extent);
        return slice_axis(x, axis, start, extent - start);
      }
      case 3: return reverse(x, axis);
      case 4: {
        Dims low(d.size(), 0), high(d.size(), 0), interior(d.size(), 0);
        low[static_cast<size_t>(axis)] = random_.below(3);
        high[static_cast<size_t>(axis)] = random_.below(3);
        interior[static_cast<size_t>(axis)] = random_.below(2);
        return pad(x, 0.5, {low.begin(), low.end()}, {high.begin(), high.end()}, interior);
      }
      case 5: return concat({x, partner(x)}, axis);
      default: return expand_dims(x, axis);
    }
  }

  Expr reduce(const Expr& x) {
    const Dims axes = {axis_of(x)};
    switch (random_.below(5)) {
      case 0: return reduce_sum(x, axes);
      case 1: return reduce_max(x, axes);
      case 2: return reduce_mean(x, axes);
      case 3: {  // softmax
        const Expr e = exp(x - keep_axes(reduce_max(x, axes), axes));
        return e / keep_axes(reduce_sum(e, axes), axes);
      }
      default: return cumsum(x * 0.25, axes[0], random_.below(2) == 1, random_.below(2) == 1);
    }
  }

  Expr contract(const Expr& x) {
    const int64_t k = dims(x).back();
    const auto n = 1 + random_.below(40);
    if (random_.below(3) == 0) {  // with the right operand's rows along the contraction
      DotAttrs attrs;
      attrs.lhs_contract = {x.rank() - 1};
      attrs.rhs_contract = {1};
      return dot_general(tanh(x), float_input({n, k}), attrs);
    }
    return matmul(tanh(x), float_input({k, n}));
  }

  Expr indexed(const Expr& x) {
    const auto count = 1 + random_.below(6);
    const Expr at =
        input(graph_, fmt::format("i{}", graph_.inputs().size()), {DType::i32, Shape{Dim(count)}});
    const int64_t axis = axis_of(x);
    const Expr taken = gather(x, at, axis);
    return random_.below(2) == 0 ? taken : scatter_add(x, at, taken * 0.5, axis);
  }

  Expr windowed(const Expr& x) {
    const int64_t extent = dims(x).back();
    WindowAttrs w;
    w.kernel = {std::min<int64_t>(extent, 1 + random_.below(3))};
    w.stride = {1 + random_.below(2)};
    w.dilation = {1};
    w.low = {random_.below(2)};
    w.high = {random_.below(2)};
    const Expr patches = windows(x, w);
    if (random_.below(2) == 0) return reduce_max(patches, {patches.rank() - 1});
    return matmul(patches, float_input({w.kernel[0], 3}));
  }

  // h' = tanh(h @ w + x_t) over the leading axis.
  Expr recurrent(const Expr& x) {
    if (x.rank() != 2) return unary(x);
    const int64_t width = dims(x)[1];
    Graph body("step");
    const Expr h = input(body, "h", {DType::f32, Shape{Dim(1), Dim(width)}});
    const Expr xt = input(body, "x", {DType::f32, Shape{Dim(width)}});
    const Expr w = input(body, "w", {DType::f32, Shape{Dim(width), Dim(width)}});
    const Expr next = tanh(matmul(h, w) + broadcast_to(xt, h.shape()));
    body.add_output("h", next.value);
    body.add_output("y", squeeze(next, 0).value);
    const Expr start = full(graph_, {DType::f32, Shape{Dim(1), Dim(width)}}, 0);
    return scan(graph_, std::make_shared<const Graph>(std::move(body)), {start}, {x},
                {float_input({width, width})}, dims(x)[0], random_.below(2) == 1)[1];
  }

  void grow() {
    const Expr x = pick();
    switch (random_.below(12)) {
      case 0:
      case 1:
      case 2: return push(unary(x));
      case 3:
      case 4:
      case 5: return push(binary(x));
      case 6:
      case 7: return push(view(x));
      case 8: return push(x.rank() > 1 ? reduce(x) : unary(x));
      case 9: return push(contract(x));
      case 10: return push(random_.below(2) == 0 ? indexed(x) : windowed(x));
      default: return push(recurrent(x));
    }
  }

  Random random_;
  Graph graph_{"random"};
  std::vector<Expr> values_;
};

}  // namespace

RandomGraph random_graph(uint64_t seed) { return GraphGenerator(seed).run(); }

}  // namespace lathe
