// Random numbers and Dropout. A node without a seed takes one from its name, so that a model draws
// the same numbers at every run, compiled or not, and two nodes draw different ones.
#include <bit>
#include <numbers>

#include "frontend/onnx/row.h"
#include "frontend/random.h"

namespace lathe::onnx {
namespace {

// Floats in [0, 1) for each element of `shape`. Draws of one node with other numbers are
// independent of each other.
Expr uniform(OpContext& c, const Shape& shape, uint64_t draw = 0) {
  Hasher h;
  if (c.has_attribute("seed")) {
    const NodeDef& n = c.node();
    const bool whole = n.op == "Dropout";  // whose seed is an integer
    h.add(whole ? static_cast<uint64_t>(c.attr_int("seed"))
                : std::bit_cast<uint64_t>(c.attr_float("seed")));
  } else {
    h.add(std::string_view(c.node().name));
    for (const std::string& name : c.node().outputs) h.add(std::string_view(name));
  }
  const Expr step = constant(c.graph(), Tensor::scalar<uint64_t>(draw));
  return uniform_floats(random_words(step, static_cast<uint32_t>(h.value()), shape));
}

// By Box and Muller; 1 - u is never 0.
Expr normal(OpContext& c, const Shape& shape) {
  const Expr radius = sqrt(log(1.0 - uniform(c, shape, 0)) * -2.0);
  return radius * cos(uniform(c, shape, 1) * (2 * std::numbers::pi));
}

// The type and shape of a draw: the attributes', or those of input 0 (`like`).
struct Draw {
  ElemType elem;
  Shape shape;
};

Draw read_draw(OpContext& c, bool like) {
  if (!like) return {elem_type(c.attr_int("dtype", 1)), Shape(c.attr_ints("shape"))};
  return {c.has_attribute("dtype") ? elem_type(c.attr_int("dtype")) : c.elem(0), Shape(c.dims(0))};
}

template <bool like>
void random_uniform(OpContext& c) {
  const Draw d = read_draw(c, like);
  const double low = c.attr_float("low", 0), high = c.attr_float("high", 1);
  c.out(cast(uniform(c, d.shape) * (high - low) + low, carrier(d.elem)), d.elem);
}

template <bool like>
void random_normal(OpContext& c) {
  const Draw d = read_draw(c, like);
  const double mean = c.attr_float("mean", 0), scale = c.attr_float("scale", 1);
  c.out(cast(normal(c, d.shape) * scale + mean, carrier(d.elem)), d.elem);
}

// 1 with the probability that x gives.
void bernoulli(OpContext& c) {
  const Draw d = read_draw(c, true);
  const Expr x = c.expr(0);
  const Expr chosen = lt(cast(uniform(c, d.shape), DType::f64), cast(x, DType::f64));
  c.out(cast(chosen, carrier(d.elem)), d.elem);
}

// Indices of classes, drawn by unnormalised log-probabilities [batch, classes]: how many cumulative
// shares do not exceed a uniform number.
void multinomial(OpContext& c) {
  const Expr x = widened(c.expr(0));
  if (x.rank() != 2) fail("its input is {}; [batch, classes] was expected", c.input(0).signature());
  const int64_t samples = c.attr_int("sample_size", 1);
  const ElemType elem = elem_type(c.attr_int("dtype", 6));
  const int64_t batch = c.dims(0)[0], classes = c.dims(0)[1];
  if (samples < 0 || classes < 1) fail("{} samples of {} classes", samples, classes);
  const Expr ends = cumsum(exp(x - keep_axes(reduce_max(x, {1}), {1})), 1);
  const Expr total = slice_axis(ends, 1, classes - 1, 1);  // [batch, 1]
  const Expr u = cast(uniform(c, Shape{batch, samples}), x.dtype()) * total;
  const Expr passed = le(expand_dims(ends, 1), expand_dims(u, 2));  // [batch, samples, classes]
  const Expr index = reduce_sum(cast(passed, DType::i64), {2});
  c.out(cast(min(index, static_cast<double>(classes - 1)), carrier(elem)), elem);
}

// In inference nothing is dropped. In training (from version 12 on an input) an element is kept
// with probability 1 - ratio, and then scaled by 1 / (1 - ratio).
void dropout(OpContext& c) {
  c.ignore({"consumed_inputs", "seed", "ratio", "is_test"});
  const bool training = c.version() >= 12 && c.has(2) && c.integer(2) != 0;
  if (!training) {
    c.out(c.input(0));
    if (!c.wants(1)) return;
    const DType mask = c.version() < 10 ? c.dtype(0) : DType::boolean;
    return c.out(1, full(c.graph(), {mask, Shape(c.dims(0))}, 1));
  }
  const Expr x = c.expr(0);
  const Expr ratio = c.has(1) ? reshape(cast(c.expr(1), DType::f32), Shape{})
                              : full(c.graph(), {DType::f32, Shape{}}, 0.5);
  const Expr kept = ge(uniform(c, x.shape()), broadcast_to(ratio, x.shape()));
  const Expr scaled = widened(x) * cast(1.0 / (1.0 - ratio), widened(x).dtype());
  c.out(cast(select(kept, scaled, full_like(scaled, 0)), x.dtype()));
  if (c.wants(1)) c.out(1, kept);
}

// Only a third input can make a Dropout random.
bool may_train(const NodeDef& n) { return n.inputs.size() > 2; }
bool always(const NodeDef&) { return true; }

constexpr OpRow kRows[] = {
    {"Bernoulli", 15, bernoulli, always},
    {"Dropout", 1, dropout, may_train},
    {"Multinomial", 7, multinomial, always},
    {"RandomNormal", 1, random_normal<false>, always},
    {"RandomNormalLike", 1, random_normal<true>, always},
    {"RandomUniform", 1, random_uniform<false>, always},
    {"RandomUniformLike", 1, random_uniform<true>, always},
};

}  // namespace

std::span<const OpRow> random_rows() { return kRows; }

}  // namespace lathe::onnx
