// Ranges are sound: no element that an op computes from elements within its operands' ranges lies
// outside of what its hook says.
#include "ir/value_range.h"

#include <doctest/doctest.h>
#include <fmt/core.h>

#include <cmath>
#include <limits>

#include "ir/eval.h"
#include "tests/support/random.h"

namespace lathe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kSamples = 64;

ValueRange random_range(Random& random, DType t) {
  if (t == DType::boolean) {
    const double low = static_cast<double>(random.below(2));
    return {low, random.percent(50) ? 1.0 : low};
  }
  if (is_float(t) && random.percent(20)) {
    const double end = random.percent(50) ? kInfinity : -kInfinity;
    return {end, end};
  }
  const double least = is_signed(t) || is_float(t) ? -5 : 0;
  const double low = std::floor(random.uniform(least, 6));
  return {low, random.percent(40) ? low : low + std::floor(random.uniform(0, 9))};
}

// Elements within, the ends among them.
Tensor samples(Random& random, DType t, const ValueRange& r) {
  Tensor out = Tensor::empty(t, {kSamples});
  for (int64_t i = 0; i < kSamples; ++i) {
    const double within = r.single() ? r.low : std::floor(random.uniform(r.low, r.high + 1));
    out.set(i, i == 0 ? r.low : i == 1 ? r.high : within);
  }
  return out;
}

// An op over operands of these types, or nothing where it refuses them.
std::optional<Graph> graph_of(OpId op, const std::vector<DType>& types) {
  Graph g;
  std::vector<Value> operands;
  for (size_t i = 0; i < types.size(); ++i)
    operands.push_back(g.add_input(fmt::format("x{}", i), {types[i], Shape{kSamples}}));
  std::vector<TensorType> of;
  for (const Value v : operands) of.push_back(g.type(v));
  Attrs attrs;
  if (op == OpId::cast) attrs = DTypeAttrs{DType::f32};
  if (!op_def(op).infer.call({of, attrs, {}}).ok()) return std::nullopt;
  g.add_output("y", g.add(op, operands, attrs));
  return g;
}

TEST_CASE("elements lie within the ranges that ops give") {
  Random random(5);
  int known = 0;
  for (int i = 0; i < kOpCount; ++i) {
    const auto op = static_cast<OpId>(i);
    const OpDef& def = op_def(op);
    if (def.cls != OpClass::Elementwise || !def.range.given) continue;
    for (const DType t : {DType::f32, DType::f16, DType::i32, DType::u8, DType::boolean})
      for (int round = 0; round < 60; ++round) {
        std::vector<DType> types(static_cast<size_t>(def.arity), t);
        if (op == OpId::select) types[0] = DType::boolean;
        const std::optional<Graph> g = graph_of(op, types);
        if (!g) break;
        std::vector<MaybeRange> ranges;
        std::vector<EvalTensor> inputs;
        for (const DType of : types) {
          const ValueRange r = random_range(random, of);
          ranges.push_back(r);
          inputs.emplace_back(samples(random, of, r));
        }
        const MaybeRange r = range_of(g->node(g->outputs()[0].value), ranges);
        if (!r) continue;
        ++known;
        const Tensor y = evaluate(*g, inputs)[0].to_tensor();
        for (int64_t k = 0; k < y.size(); ++k)
          if (!(r->low <= y.at(k) && y.at(k) <= r->high))
            FAIL_CHECK(fmt::format("{} of {}: {} is outside of {} to {}", def.name, name(t),
                                   y.at(k), r->low, r->high));
      }
  }
  CHECK(known > 1000);
}

}  // namespace
}  // namespace lathe
