// Products that loops read slice by slice are computed in the loop, to the same bits.
#include "passes/sink_into_loops.h"

#include <doctest/doctest.h>

#include <cstring>

#include "backends/compile.h"
#include "frontend/nn.h"

using namespace lathe;

namespace {

constexpr int64_t kSteps = 6, kFeatures = 24, kUnits = 32;

// Two layers: the first projects x [batch, time, ..], the second what the first leaves time first.
Graph layers(int64_t batch, bool backwards) {
  nn::Network net("layers", nn::Mode::Inference, 1);
  Expr h = net.input("x", DType::f32, Shape{batch, kSteps, kFeatures});
  for (int i = 0; i < 2; ++i)
    h = net.lstm(h, kUnits, {.return_sequences = true, .go_backwards = backwards});
  return freeze(net.finish({h}));
}

// `l2_bytes` say whether all steps at once stay in cache.
CompileOptions options(int64_t l2_bytes) {
  CompileOptions o = compile_options();
  o.target.l2_bytes = l2_bytes;
  o.threads = 1;
  o.backend = Backend::Interpreter;
  return o;
}

constexpr int64_t kSmall = 4 << 10, kLarge = 64 << 20;

int calls(const std::vector<Step>& steps, bool inside) {
  int n = 0;
  for (const Step& s : steps)
    n += (inside && s.kind == StepKind::Call ? 1 : 0) + calls(s.body, true);
  return n;
}

int calls_in_loops(const Graph& g, int64_t l2_bytes) {
  return calls(compile_program(g, options(l2_bytes)).plan.steps, false);
}

void check_same_bits(const Graph& g) {
  const std::unique_ptr<Executable> first = compile(g, options(kLarge)),
                                    second = compile(g, options(kSmall));
  std::vector<Tensor> x;
  for (const Port& in : first->inputs()) {
    x.push_back(Tensor::empty(DType::f32, in.dims));
    auto* values = x.back().mutable_data<float>();
    for (int64_t i = 0; i < x.back().size(); ++i) values[i] = static_cast<float>(i % 37 - 18) / 8;
  }
  const std::vector<Tensor> apart = first->run(x), inside = second->run(x);
  REQUIRE(apart.size() == inside.size());
  for (size_t i = 0; i < apart.size(); ++i)
    CHECK(std::memcmp(apart[i].raw(), inside[i].raw(),
                      static_cast<size_t>(apart[i].size()) * sizeof(float)) == 0);
}

}  // namespace

TEST_CASE("each step projects its own inputs where those of all steps outgrow the cache") {
  for (const bool backwards : {false, true}) {
    CAPTURE(backwards);
    const Graph g = layers(16, backwards);
    // Backwards the second layer reads the first one's results from their end, which stays outside.
    CHECK(calls_in_loops(g, kSmall) == calls_in_loops(g, kLarge) + (backwards ? 1 : 2));
    CHECK(compile_program(g, options(kSmall)).plan.arena_bytes <
          compile_program(g, options(kLarge)).plan.arena_bytes);
    check_same_bits(g);
  }
}

TEST_CASE("few rows are projected all at once") {
  const Graph g = layers(15, false);
  CHECK(calls_in_loops(g, kSmall) == calls_in_loops(g, kLarge));
}

TEST_CASE("what is read outside of the loop too stays outside") {
  Graph g("stays");
  const Expr x = input(g, "x", {DType::f32, Shape{kSteps, 16, kFeatures}});
  Tensor w = Tensor::empty(DType::f32, {kFeatures, kUnits});
  std::fill_n(w.mutable_data<float>(), w.size(), 0.25f);
  const Expr projected = matmul(x, constant(g, std::move(w)));
  auto step = std::make_shared<Graph>("step");
  const Expr carry = input(*step, "carry", {DType::f32, Shape{16, kUnits}});
  const Expr slice = input(*step, "slice", {DType::f32, Shape{16, kUnits}});
  step->add_output("next", tanh(carry * 0.5 + slice).value);
  const Expr last =
      scan(g, step, {full(g, {DType::f32, Shape{16, kUnits}}, 0)}, {projected}, {}, kSteps)[0];
  g.add_output("last", last.value);
  const int inside = calls_in_loops(g, kSmall);
  CHECK(inside == calls_in_loops(g, kLarge) + 1);
  check_same_bits(g);
  g.add_output("projected", reduce_sum(projected, {0}).value);
  CHECK(calls_in_loops(g, kSmall) == inside - 1);
}
