// RNN, GRU and LSTM: the inputs' products for all steps at once, then a scan over time for each
// direction that adds the recurrent product and runs the cell. Gates are in the standard's order.
#include <algorithm>
#include <functional>

#include "frontend/onnx/activations.h"
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// One of the three ops: how many gates it stacks in its weights, and how many values it carries.
struct Kind {
  int64_t gates;
  int carries;
  std::vector<std::string> activations;  // of a direction, where the node names none
};

// What the ops have in common, read from the node.
struct Layer {
  Kind kind;
  int64_t hidden = 0, directions = 1;
  bool batch_first = false, backward = false;  // backward: the first direction runs from the end
  double clip = 0;                             // of what activations are given; 0: none
  std::vector<CellActivation> activations;     // of all directions
  Expr x;                                      // [time, batch, features]
  Expr inside;                                 // bool [time, batch], undefined where all are

  int64_t time() const { return x.shape()[0].value(); }
  int64_t batch() const { return x.shape()[1].value(); }
  Expr activate(int64_t direction, size_t which, Expr z) const {
    if (clip > 0) z = min(max(z, -clip), clip);
    return activations[static_cast<size_t>(direction) * kind.activations.size() + which](z);
  }
};

// From values of the step before, and the projected inputs and constants of this one, to the next.
using Cell = std::function<std::vector<Expr>(const std::vector<Expr>& before, const Expr& xt,
                                             const std::vector<Expr>& constants)>;

Layer read_layer(OpContext& c, Kind kind) {
  c.ignore({"output_sequence"});  // outputs that are not wanted have no name
  Layer l;
  l.batch_first = c.attr_int("layout", 0) != 0;
  l.clip = c.attr_float("clip", 0);
  if (l.clip < 0) fail("clip is {}", l.clip);
  const std::string direction = c.attr_text("direction", "forward");
  if (direction != "forward" && direction != "reverse" && direction != "bidirectional")
    fail("direction is '{}'; forward, reverse or bidirectional was expected", direction);
  l.directions = direction == "bidirectional" ? 2 : 1;
  l.backward = direction == "reverse";

  std::vector<std::string> names;
  for (int64_t d = 0; d < l.directions; ++d)
    names.insert(names.end(), kind.activations.begin(), kind.activations.end());
  if (c.has_attribute("activations")) {
    const size_t expected = names.size();
    names = c.attr_texts("activations");
    if (names.size() != expected) fail("{} activations, {} were expected", names.size(), expected);
  }
  l.activations =
      cell_activations(names, c.attr_floats("activation_alpha"), c.attr_floats("activation_beta"));

  const Dims x = c.dims(0), w = c.dims(1), r = c.dims(2);
  if (x.size() != 3 || w.size() != 3 || r.size() != 3)
    fail("X, W and R are {}, {} and {}; three axes were expected", c.input(0).signature(),
         c.input(1).signature(), c.input(2).signature());
  l.hidden = c.attr_int("hidden_size", r[2]);
  if (l.hidden != r[2]) fail("hidden_size is {}, R is {}", l.hidden, c.input(2).signature());
  const int64_t rows = kind.gates * l.hidden;
  if (w != Dims{l.directions, rows, x[2]} || r != Dims{l.directions, rows, l.hidden})
    fail("W is {} and R {}; [{},{},{}] and [{},{},{}] were expected", c.input(1).signature(),
         c.input(2).signature(), l.directions, rows, x[2], l.directions, rows, l.hidden);
  l.kind = std::move(kind);
  l.x = widened(c.expr(0));
  if (l.batch_first) l.x = transpose(l.x, {1, 0, 2});

  const auto all_full = [&] {
    const Dims lengths = c.ints(4);
    return std::ranges::all_of(lengths, [&](int64_t n) { return n >= l.time(); });
  };
  if (c.has(4) && !(c.known(4) && all_full())) {
    const Shape steps{l.time(), l.batch()};
    const Expr lengths = broadcast_to(cast(c.expr(4), DType::i64), steps);
    l.inside = lt(iota(c.graph(), DType::i64, steps, 0), lengths);
  }
  return l;
}

// The part of an input that belongs to a direction, in the type that is computed in.
Expr of_direction(OpContext& c, int input, int64_t direction) {
  return widened(squeeze(slice_axis(c.expr(input), 0, direction, 1), 0));
}

// [hidden] pieces first, first + 1, .. of a list of them.
Expr pieces(const Expr& list, int64_t first, int64_t count, int64_t hidden) {
  return slice_axis(list, list.rank() - 1, first * hidden, count * hidden);
}

// The values before the first step, [batch, hidden] each: inputs 5, 6, .. or zeros.
std::vector<Expr> initial_values(OpContext& c, const Layer& l, int64_t direction) {
  std::vector<Expr> out;
  const Dims expected = l.batch_first ? Dims{l.batch(), l.directions, l.hidden}
                                      : Dims{l.directions, l.batch(), l.hidden};
  for (int k = 0; k < l.kind.carries; ++k) {
    if (!c.has(5 + k)) {
      out.push_back(full(c.graph(), {l.x.dtype(), Shape{l.batch(), l.hidden}}, 0));
      continue;
    }
    if (c.dims(5 + k) != expected)
      fail("input {} is {}, [{}] was expected", 5 + k, c.input(5 + k).signature(),
           Shape(expected).text());
    const int64_t axis = l.batch_first ? 1 : 0;
    out.push_back(widened(squeeze(slice_axis(c.expr(5 + k), axis, direction, 1), axis)));
  }
  return out;
}

// Inputs of a region that stand for these values, or for one step of each.
std::vector<Expr> region_inputs(Graph& g, std::string_view prefix, const std::vector<Expr>& values,
                                bool steps) {
  std::vector<Expr> out;
  for (size_t i = 0; i < values.size(); ++i) {
    Dims dims = values[i].shape().static_dims();
    if (steps) dims.erase(dims.begin());
    out.push_back(
        input(g, fmt::format("{}{}", prefix, i), {values[i].dtype(), Shape(std::move(dims))}));
  }
  return out;
}

// Values after the last step of each sequence, then the stacked outputs [time, batch, hidden],
// which are zero after a sequence's end.
std::vector<Expr> recur(OpContext& c, const Layer& l, const Expr& projected,
                        const std::vector<Expr>& initial, const std::vector<Expr>& constants,
                        bool backward, const Cell& cell) {
  std::vector<Expr> scanned = {projected};
  if (l.inside.defined()) scanned.push_back(l.inside);
  auto step = std::make_shared<Graph>("step");
  const std::vector<Expr> before = region_inputs(*step, "carry", initial, false);
  const std::vector<Expr> now = region_inputs(*step, "x", scanned, true);
  const std::vector<Expr> fixed = region_inputs(*step, "weight", constants, false);
  std::vector<Expr> next = cell(before, now[0], fixed);
  Expr y = next[0];
  if (l.inside.defined()) {
    const Expr inside = expand_dims(now[1], 1);
    y = select(inside, y, full_like(y, 0));
    for (size_t i = 0; i < next.size(); ++i) next[i] = select(inside, next[i], before[i]);
  }
  for (size_t i = 0; i < next.size(); ++i)
    step->add_output(fmt::format("carry{}", i), next[i].value);
  if (c.wants(0)) step->add_output("y", y.value);
  return scan(c.graph(), step, initial, scanned, constants, Dim(l.time()), backward);
}

// A direction's constants and cell: what tells the ops apart. `bias` [2, gates * hidden] is that of
// the inputs, then that of the recurrent product; `matrix` [hidden, gates * hidden].
struct Recurrence {
  Expr input_bias;
  std::vector<Expr> constants;
  Cell cell;
};
using Describe = std::function<Recurrence(const Layer& l, int64_t direction, const Expr& bias,
                                          const Expr& matrix)>;

void run_layer(OpContext& c, const Layer& l, const Describe& describe) {
  const int64_t rows = l.kind.gates * l.hidden;
  const auto carries = static_cast<size_t>(l.kind.carries);
  std::vector<std::vector<Expr>> results(carries + 1);  // of directions
  for (int64_t d = 0; d < l.directions; ++d) {
    const Expr bias = c.has(3) ? reshape(of_direction(c, 3, d), Shape{2, rows})
                               : full(c.graph(), {l.x.dtype(), Shape{2, rows}}, 0);
    const Recurrence r = describe(l, d, bias, transpose(of_direction(c, 2, d), {1, 0}));
    Expr projected = matmul(l.x, transpose(of_direction(c, 1, d), {1, 0}));
    if (c.has(3)) projected = projected + r.input_bias;
    const bool backward = l.backward || d == 1;
    const auto out = recur(c, l, projected, initial_values(c, l, d), r.constants, backward, r.cell);
    for (size_t k = 0; k < out.size(); ++k) results[k].push_back(out[k]);
  }
  const auto joined = [&](size_t k, int64_t axis) {
    std::vector<Expr> parts;
    for (const Expr& e : results[k]) parts.push_back(expand_dims(cast(e, c.dtype(0)), axis));
    return concat(parts, axis);
  };
  if (c.wants(0)) {
    const Expr y = joined(carries, 1);  // [time, directions, batch, hidden]
    c.out(0, l.batch_first ? transpose(y, {2, 0, 1, 3}) : y);
  }
  for (size_t k = 0; k < carries; ++k)
    if (c.wants(static_cast<int>(k) + 1))
      c.out(static_cast<int>(k) + 1, joined(k, l.batch_first ? 1 : 0));
}

Expr row_of(const Expr& bias, int64_t i) { return squeeze(slice_axis(bias, 0, i, 1), 0); }

void rnn(OpContext& c) {
  const Layer layer = read_layer(c, {1, 1, {"Tanh"}});
  run_layer(c, layer, [](const Layer& l, int64_t d, const Expr& bias, const Expr& matrix) {
    return Recurrence{
        row_of(bias, 0) + row_of(bias, 1),
        {matrix},
        [&l, d](const std::vector<Expr>& before, const Expr& xt, const std::vector<Expr>& fixed) {
          return std::vector<Expr>{l.activate(d, 0, matmul(before[0], fixed[0]) + xt)};
        }};
  });
}

// Gates z (update), r (reset), h.
void gru(OpContext& c) {
  const bool reset_last = c.version() >= 3 && c.attr_int("linear_before_reset", 0) != 0;
  const Layer layer = read_layer(c, {3, 1, {"Sigmoid", "Tanh"}});
  run_layer(c, layer, [&](const Layer& l, int64_t d, const Expr& bias, const Expr& matrix) {
    const int64_t n = l.hidden;
    Recurrence out;
    out.constants = {matrix};
    // The last gate's recurrent bias is part of what the reset gate scales.
    const Expr recurrent = row_of(bias, 1);
    out.input_bias = row_of(bias, 0) + recurrent;
    if (reset_last && c.has(3)) {
      const Expr none = full_like(pieces(recurrent, 2, 1, n), 0);
      out.input_bias = row_of(bias, 0) + concat({pieces(recurrent, 0, 2, n), none}, 0);
      out.constants.push_back(pieces(recurrent, 2, 1, n));
    }
    out.cell = [&l, d, n, reset_last](const std::vector<Expr>& before, const Expr& xt,
                                      const std::vector<Expr>& fixed) -> std::vector<Expr> {
      const Expr h = before[0];
      const Expr product = matmul(h, reset_last ? fixed[0] : pieces(fixed[0], 0, 2, n));
      const auto gate = [&](int64_t k) {
        return l.activate(d, 0, pieces(xt, k, 1, n) + pieces(product, k, 1, n));
      };
      const Expr z = gate(0), r = gate(1);
      Expr reset;
      if (reset_last) {
        reset = pieces(product, 2, 1, n);
        reset = r * (fixed.size() > 1 ? reset + fixed[1] : reset);
      } else {
        reset = matmul(r * h, pieces(fixed[0], 2, 1, n));
      }
      const Expr candidate = l.activate(d, 1, pieces(xt, 2, 1, n) + reset);
      return {(1.0 - z) * candidate + z * h};
    };
    return out;
  });
}

// Gates i, o, f, c; peepholes i, o, f see the cell, the output's the new one.
void lstm(OpContext& c) {
  const bool coupled = c.attr_int("input_forget", 0) != 0;
  const Layer layer = read_layer(c, {4, 2, {"Sigmoid", "Tanh", "Tanh"}});
  run_layer(c, layer, [&](const Layer& l, int64_t d, const Expr& bias, const Expr& matrix) {
    const int64_t n = l.hidden;
    std::vector<Expr> constants = {matrix};
    if (c.has(7))
      for (int64_t k = 0; k < 3; ++k) constants.push_back(pieces(of_direction(c, 7, d), k, 1, n));
    return Recurrence{row_of(bias, 0) + row_of(bias, 1), constants,
                      [&l, d, n, coupled](const std::vector<Expr>& before, const Expr& xt,
                                          const std::vector<Expr>& fixed) -> std::vector<Expr> {
                        const Expr z = matmul(before[0], fixed[0]) + xt;
                        const auto gate = [&](int64_t k, const Expr& cell) {
                          const Expr g = pieces(z, k, 1, n);
                          return l.activate(
                              d, 0,
                              fixed.size() > 1 ? g + fixed[static_cast<size_t>(k) + 1] * cell : g);
                        };
                        const Expr i = gate(0, before[1]);
                        const Expr f = coupled ? 1.0 - i : gate(2, before[1]);
                        const Expr cell = f * before[1] + i * l.activate(d, 1, pieces(z, 3, 1, n));
                        return {gate(1, cell) * l.activate(d, 2, cell), cell};
                      }};
  });
}

constexpr OpRow kRows[] = {
    {"GRU", 1, gru},
    {"LSTM", 1, lstm},
    {"RNN", 1, rnn},
};

}  // namespace

std::span<const OpRow> recurrent_rows() { return kRows; }

}  // namespace lathe::onnx
