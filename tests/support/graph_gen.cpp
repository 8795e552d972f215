#include "tests/support/graph_gen.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "ir/op.h"
#include "tests/support/op_cases.h"
#include "tests/support/random.h"

namespace lathe {
namespace {

// A row of the case table that is one elementwise op on inputs of one shape.
struct ElementwiseRow {
  OpId op = {};
  Attrs attrs;
  std::vector<DType> operands;
  std::vector<Domain> domains;
  bool smooth = false;  // off kinks, what is computed (and so rounded) may go in
};
using RowsByOp = std::map<OpId, std::vector<ElementwiseRow>>;

bool half_precision(DType t) { return is_float(t) && byte_size(t) == 2; }

std::optional<ElementwiseRow> elementwise_row(const OpCase& c) {
  const Graph g = build_case(c);
  const Node& n = g.nodes().back();
  if (n.op != c.op || g.nodes().size() != g.inputs().size() + 1) return std::nullopt;
  // The same graphs are differentiated.
  if (is_float(n.types[0].dtype) && !op_def(n.op).no_gradient.empty()) return std::nullopt;
  ElementwiseRow row{c.op, n.attrs, {}, c.domains, c.differentiable};
  row.domains.resize(n.operands.size());
  // No error bound covers a value that is rounded to 16 bits here and there.
  bool fits = n.operands.size() == g.inputs().size() && !half_precision(n.types[0].dtype);
  for (size_t k = 0; fits && k < n.operands.size(); ++k) {
    const TensorType& type = g.type(n.operands[k]);
    fits = n.operands[k] == g.inputs()[k].value && type.rank() > 0 &&
           type.shape == n.types[0].shape && !half_precision(type.dtype);
    row.operands.push_back(type.dtype);
  }
  return fits ? std::optional(row) : std::nullopt;
}

const RowsByOp& elementwise_rows(bool smooth) {
  static const std::array<RowsByOp, 2> rows = [] {
    std::array<RowsByOp, 2> all;
    for (const OpCase& c : op_cases())
      if (op_def(c.op).cls == OpClass::Elementwise)
        if (const auto row = elementwise_row(c)) all[row->smooth ? 1 : 0][c.op].push_back(*row);
    return all;
  }();
  return rows[smooth ? 1 : 0];
}

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
    OpCase drawn;
    drawn.domains = domains_;
    return {graph_, sample_inputs(graph_, drawn, random_.next())};
  }

 private:
  Dims random_shape() {
    Dims dims;
    const int64_t rank = 1 + random_.below(3);
    for (int64_t i = 0; i < rank; ++i)
      dims.push_back(random_.below(6) == 0 ? 1 + random_.below(40) : 1 + random_.below(7));
    return dims;
  }

  Expr new_input(DType t, const Shape& shape, const Domain& domain = {}) {
    domains_.push_back(domain);
    return input(graph_, fmt::format("x{}", graph_.inputs().size()), {t, shape});
  }
  Expr float_input(const Dims& dims) { return new_input(DType::f32, Shape(dims)); }

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

  // An op of the case table on x and others of its shape.
  Expr elementwise(const Expr& x) {
    const ElementwiseRow& row = pick_row();
    std::vector<Value> operands;
    for (size_t k = 0; k < row.operands.size(); ++k)
      operands.push_back(operand(row, k, k == 0 ? x : partner(x)).value);
    return as_float({&graph_, graph_.add(row.op, std::move(operands), row.attrs)});
  }

  // First the op, or casts, which have most rows, would be most of the graph.
  const ElementwiseRow& pick_row() {
    const auto& rows = elementwise_rows(random_.percent(80));
    const size_t op = static_cast<size_t>(random_.below(std::ssize(rows)));
    return random_.pick(std::next(rows.begin(), static_cast<std::ptrdiff_t>(op))->second);
  }

  Expr operand(const ElementwiseRow& row, size_t k, const Expr& x) {
    const DType t = row.operands[k];
    if (is_float(t) && row.smooth) return cast(within(piece(row.domains[k]), x), t);
    if (!is_float(t) && random_.percent(50))
      for (const Expr& e : exact_)
        if (e.dtype() == t && e.shape() == x.shape()) return e;
    return new_input(t, x.shape(), row.domains[k]);
  }

  // A part of the domain without kinks.
  Domain piece(const Domain& d) {
    if (d.away == 0) return d;
    // Without a period zero is the only kink.
    const double period = d.period == 0 ? 2 * std::max(-d.low, d.high) : d.period;
    const auto first = static_cast<int64_t>(std::floor(d.low / period));
    const auto last = static_cast<int64_t>(std::ceil(d.high / period));
    std::vector<Domain> pieces;
    for (int64_t k = first; k < last; ++k) {
      const double low = std::max(d.low, static_cast<double>(k) * period + d.away);
      const double high = std::min(d.high, static_cast<double>(k + 1) * period - d.away);
      if (low <= high) pieces.push_back({low, high});
    }
    return random_.pick(pieces);
  }

  // x brought into [low, high] by a map that does not enlarge errors; at times a number instead.
  Expr within(const Domain& d, const Expr& x) {
    if (random_.percent(10)) return full_like(x, random_.uniform(d.low, d.high));
    if (d.high - d.low <= 4 && random_.percent(50)) return sigmoid(x) * (d.high - d.low) + d.low;
    return min(max(x, d.low), d.high);
  }

  // Integers and booleans are exact on every rung; their last digits go on as floats.
  Expr as_float(const Expr& x) {
    if (is_float(x.dtype())) return cast(x, DType::f32);
    exact_.push_back(x);
    if (x.dtype() == DType::boolean) return cast(x, DType::f32);
    return cast(rem(x, full_like(x, 17)), DType::f32) * 0.125;
  }

  // Continuous, so that the reference may find the other way round what rounding made equal.
  Expr choice(const Expr& x) {
    const Expr y = partner(x);
    return select(lt(x, y), x - y, (y - x) * 0.5);
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
    const Expr at = new_input(DType::i32, Shape{Dim(count)}, {-1, 5});
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

  // h' = tanh(h @ w + x_t) over the leading axis. With larger weights it would be chaotic, and
  // every rounding would grow with the steps.
  Expr recurrent(const Expr& x) {
    if (x.rank() != 2) return elementwise(x);
    const int64_t width = dims(x)[1];
    Graph body("step");
    const Expr h = input(body, "h", {DType::f32, Shape{Dim(1), Dim(width)}});
    const Expr xt = input(body, "x", {DType::f32, Shape{Dim(width)}});
    const Expr w = input(body, "w", {DType::f32, Shape{Dim(width), Dim(width)}});
    const Expr next = tanh(matmul(h, w) + broadcast_to(xt, h.shape()));
    body.add_output("h", next.value);
    body.add_output("y", squeeze(next, 0).value);
    const Expr start = full(graph_, {DType::f32, Shape{Dim(1), Dim(width)}}, 0);
    const double limit = 1 / static_cast<double>(width);
    const Expr weights = new_input(DType::f32, w.shape(), {-limit, limit});
    return scan(graph_, std::make_shared<const Graph>(std::move(body)), {start}, {x}, {weights},
                dims(x)[0], random_.below(2) == 1)[1];
  }

  void grow() {
    const Expr x = pick();
    switch (random_.below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: return push(elementwise(x));
      case 5: return push(choice(x));
      case 6:
      case 7: return push(view(x));
      case 8: return push(x.rank() > 1 ? reduce(x) : elementwise(x));
      case 9: return push(contract(x));
      case 10: return push(random_.below(2) == 0 ? indexed(x) : windowed(x));
      default: return push(recurrent(x));
    }
  }

  Random random_;
  Graph graph_{"random"};
  std::vector<Domain> domains_;  // of the inputs
  std::vector<Expr> values_;     // f32
  std::vector<Expr> exact_;      // integers and booleans
};

}  // namespace

RandomGraph random_graph(uint64_t seed) { return GraphGenerator(seed).run(); }

}  // namespace lathe
