// NonMaxSuppression: boxes by falling score, without those that overlap a chosen one too much.
#include <limits>

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// The corners of boxes, the lower one first; all of one shape.
struct Boxes {
  Expr y1, x1, y2, x2;

  Expr area() const { return (y2 - y1) * (x2 - x1); }
  template <class F>
  Boxes map(F&& f) const {
    return {f(y1), f(x1), f(y2), f(x2)};
  }
};

// Of [batch, count, 4]: any two opposite corners as y, x, y, x, or the centre and size as x, y,
// width, height.
Boxes corners(const Expr& boxes, bool center) {
  const auto part = [&](int64_t k) { return squeeze(slice_axis(boxes, 2, k, 1), 2); };
  const Expr a = part(0), b = part(1), c = part(2), d = part(3);
  if (!center) return {min(a, c), min(b, d), max(a, c), max(b, d)};
  const Expr width = c * 0.5, height = d * 0.5;
  return {b - height, a - width, b + height, a + width};
}

// Intersection over union.
Expr overlap(const Boxes& a, const Boxes& b) {
  const Expr height = max(min(a.y2, b.y2) - max(a.y1, b.y1), 0);
  const Expr width = max(min(a.x2, b.x2) - max(a.x1, b.x1), 0);
  const Expr both = height * width, any = a.area() + b.area() - both;
  return select(gt(any, full_like(any, 0)), both / any, full_like(any, 0));
}

// The least power of two that is not below v; 0 of 0.
Expr power_of_two(const Expr& v) {
  Expr bits = v - 1;
  for (const int64_t shift : {1, 2, 4, 8, 16, 32})
    bits = bit_or(bits, shift_right(bits, full_like(bits, static_cast<double>(shift))));
  return bits + 1;
}

// Which of candidates [lanes, width], the best of each lane first, are chosen. `alive`: those there
// are; `most`: how many of a lane at most.
Expr chosen(const Boxes& boxes, const Expr& alive, const Expr& most, const Expr& threshold) {
  Graph& g = *alive.graph;
  const std::vector<Expr> carries = {full_like(most, 0), alive, full_like(alive, 0)};
  const std::vector<Expr> constants = {most, threshold, boxes.y1, boxes.x1, boxes.y2, boxes.x2};
  std::vector<Expr> all = carries;
  all.insert(all.end(), constants.begin(), constants.end());
  const auto test = std::make_shared<Graph>("any_left"), body = std::make_shared<Graph>("choose");
  const auto inputs = [&](Graph& region) {
    std::vector<Expr> out;
    for (const Expr& e : all)
      out.push_back(input(region, fmt::format("in{}", out.size()), e.type()));
    return out;
  };
  const std::vector<Expr> t = inputs(*test), b = inputs(*body);
  test->add_output("any_left", bit_and(lt(t[0], t[3]), reduce_max(t[1], {0, 1})).value);
  const Boxes inner{b[5], b[6], b[7], b[8]};
  const Expr at = iota(*body, DType::i64, alive.shape(), 1);
  const Expr beyond = full_like(at, static_cast<double>(alive.shape()[1].value()));
  const Expr best = keep_axes(reduce_min(select(b[1], at, beyond), {1}), {1});
  const Expr picked = eq(at, best);
  const Boxes box = inner.map([&](const Expr& e) { return take_along(e, best, 1); });
  const Expr gone = bit_or(picked, gt(overlap(box, inner), b[4]));
  body->add_output("step", (b[0] + 1).value);
  body->add_output("alive", bit_and(b[1], logical_not(gone)).value);
  body->add_output("chosen", bit_or(b[2], picked).value);
  return while_loop(g, test, body, carries, constants)[2];
}

// A box that a lane has no candidate for is not asked for; how many candidates there are, up to a
// power of two, is part of the stage's key.
void non_max_suppression(OpContext& c) {
  const bool center = c.attr_int("center_point_box", 0) != 0;
  const Expr boxes = c.expr(0), scores = c.expr(1);
  const Dims db = c.dims(0), ds = c.dims(1);
  if (db.size() != 3 || ds.size() != 3 || db[2] != 4 || db[0] != ds[0] || db[1] != ds[2])
    fail("boxes {} and scores {}", boxes.type().text(), scores.type().text());
  Graph& g = c.graph();
  const auto number = [&](int i, DType type, double missing) {
    const bool given = c.has(i) && element_count(c.dims(i)) > 0;
    return given ? reshape(cast(c.expr(i), type), Shape{}) : full(g, {type, {}}, missing);
  };
  const int64_t classes = ds[1], count = db[1], lanes = ds[0] * classes;
  const double infinity = std::numeric_limits<double>::infinity();
  const Expr score = reshape(scores, Shape{lanes, count});
  const Expr there = gt(score, number(4, score.dtype(), -infinity));
  const Expr candidates = reduce_sum(cast(there, DType::i64), {1});
  const Expr widest = min(max(reduce_max(candidates, {0}), 0), static_cast<double>(count));
  const int64_t width = c.computed(min(power_of_two(widest), static_cast<double>(count)));
  if (width == 0) return c.out(HostTensor(Tensor::zeros(DType::i64, {0, 3})));
  const Expr order = argsort(select(there, score, full_like(score, -infinity)), width, true);
  const Expr lane = iota(g, DType::i64, order.shape(), 0);
  const Expr flat = order + lane / static_cast<double>(classes) * static_cast<double>(count);
  const Boxes sorted = corners(boxes, center).map([&](const Expr& e) {
    return gather(reshape(e, Shape{db[0] * count}), flat, 0);
  });
  const Expr alive = lt(iota(g, DType::i64, order.shape(), 1), expand_dims(candidates, 1));
  const Expr kept = chosen(sorted, alive, number(2, DType::i64, 0), number(3, boxes.dtype(), 0));
  c.host(
      [=](HostServices&, const std::vector<Value>& in) {
        const Tensor &marks = in[0].known.numbers, &places = in[1].known.numbers;
        Dims out;
        for (int64_t i = 0; i < marks.size(); ++i) {
          const int64_t of = i / width;
          if (marks.int_at(i) != 0)
            out.insert(out.end(), {of / classes, of % classes, places.int_at(i)});
        }
        return std::vector<Value>{
            Value::of(HostTensor(Tensor::from<int64_t>({std::ssize(out) / 3, 3}, out)))};
      },
      {Value::of(kept, ElemType::Bool), Value::of(order, ElemType::Int64)});
}

constexpr OpRow kRows[] = {
    {"NonMaxSuppression", 10, non_max_suppression},
};

}  // namespace

std::span<const OpRow> suppression_rows() { return kRows; }

}  // namespace lathe::onnx
