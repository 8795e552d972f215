// Calls that agree on rows are made block by block where they outgrow the cache, to the same bits.
#include "passes/block_calls.h"

#include <doctest/doctest.h>

#include "backends/compile.h"
#include "ir/expr.h"
#include "tests/support/effort.h"
#include "tests/support/fill.h"
#include "tests/support/graph_gen.h"
#include "tests/support/kernel_run.h"
#include "tests/support/ladder.h"

using namespace lathe;

namespace {

constexpr int64_t kSmall = 8 << 10, kLarge = int64_t{1} << 40;

// An L2 of so many bytes says whether tensors stay in cache.
CompileOptions options(int64_t cache_bytes, Backend backend = Backend::Interpreter,
                       int threads = 1) {
  CompileOptions o = compile_options();
  o.target.l2_bytes = cache_bytes;
  o.backend = backend;
  o.threads = threads;
  o.wait_compile = true;
  return o;
}

Plan plan_of(const Graph& g, int64_t cache_bytes) {
  return compile_program(g, options(cache_bytes)).plan;
}

int calls(const std::vector<Step>& steps) {
  int n = 0;
  for (const Step& s : steps) n += (s.kind == StepKind::Call ? 1 : 0) + calls(s.body);
  return n;
}

// Calls in independent loops, by loop around nothing but calls.
std::vector<int> blocked(const std::vector<Step>& steps) {
  std::vector<int> out;
  for (const Step& s : steps) {
    if (s.independent && !s.body[0].independent) out.push_back(calls(s.body));
    for (const int n : blocked(s.body)) out.push_back(n);
  }
  return out;
}

// Whole tensors and blocks give the same bits, on every backend and number of threads.
void check_same_bits(const Graph& g, const std::vector<Tensor>& inputs) {
  const auto expected = compile(g, options(kLarge))->run(inputs);
  const auto check = [&](Backend backend, int threads) {
    const std::vector<Tensor> got = compile(g, options(kSmall, backend, threads))->run(inputs);
    for (size_t k = 0; k < got.size(); ++k) {
      CAPTURE(k);
      CHECK(first_difference(got[k], expected[k]) == -1);
    }
  };
  check(Backend::Interpreter, 1);
  for (const int threads : {1, 3}) {
    check(Backend::Simd, threads);
#ifdef LATHE_WITH_LLVM
    check(Backend::Llvm, threads);
#endif
  }
}

void check_same_bits(const Graph& g) {
  std::vector<Tensor> inputs;
  for (const GraphInput& in : g.inputs())
    inputs.push_back(small_noise(in.type.shape.static_dims(), inputs.size()));
  check_same_bits(g, inputs);
}

Expr tensor(Graph& g, const char* name, Dims dims) {
  return input(g, name, {DType::f32, Shape(dims)});
}

Expr softmax(const Expr& x, int64_t axis) {
  const Expr e = exp(x - keep_axes(reduce_max(x, {axis}), {axis}));
  return e / keep_axes(reduce_sum(e, {axis}), {axis});
}

Expr layer_norm(const Expr& x) {
  const Dims last = {x.rank() - 1};
  const Expr centred = x - keep_axes(reduce_mean(x, last), last);
  return centred / sqrt(keep_axes(reduce_mean(centred * centred, last), last) + 1e-5);
}

}  // namespace

TEST_CASE("a softmax goes through its kernels block by block, with temporaries of a block") {
  Graph g("softmax");
  g.add_output("y", softmax(tensor(g, "x", {96, 50}), 1).value);
  const Plan whole = plan_of(g, kLarge), plan = plan_of(g, kSmall);
  CHECK(blocked(whole.steps).empty());
  REQUIRE(plan.steps.size() == 1);
  CHECK(blocked(plan.steps) == std::vector<int>{calls(whole.steps)});
  CHECK(plan.arena_bytes == 0);
  CHECK(plan.steps[0].count >= 16);
  CHECK(plan.local_bytes * plan.steps[0].count < 2 * whole.arena_bytes);
  CHECK(plan.kernels == whole.kernels);
  check_same_bits(g);
}

TEST_CASE("the last call that reads what another has read fetches the next block of it") {
  Graph g("softmax");
  g.add_output("y", softmax(tensor(g, "x", {96, 50}), 1).value);
  const auto fetching = [&](int64_t cache_bytes) {
    std::vector<KernelSchedule> out;
    for (const KernelSchedule& s : compile_program(g, options(cache_bytes)).schedules)
      if (s.fetch >= 0) out.push_back(s);
    return out;
  };
  CHECK(fetching(kLarge).empty());
  const Plan plan = plan_of(g, kSmall);
  REQUIRE(fetching(kSmall).size() == 1);
  CHECK(fetching(kSmall)[0].ahead * plan.steps[0].count == 96 * 50 * 4);
}

TEST_CASE("rows that no block divides leave a block of the rest") {
  Graph g("rest");
  g.add_output("y", softmax(tensor(g, "x", {199, 10}), 1).value);
  const Plan plan = plan_of(g, kSmall);
  REQUIRE(plan.steps.size() > 1);
  CHECK(plan.steps[0].independent);
  CHECK(plan.steps.size() == 1 + plan.steps[0].body.size());
  const int64_t blocks = plan.steps[0].count;
  CHECK(199 / blocks * blocks < 199);
  check_same_bits(g);
}

TEST_CASE("rows of several axes are walked by nested loops where a kernel tells them apart") {
  Graph g("positions");
  const Expr x = tensor(g, "x", {6, 40, 24}), positions = tensor(g, "positions", {40, 24});
  const Expr gamma = tensor(g, "gamma", {24});
  g.add_output("y", (layer_norm(x + positions) * gamma).value);
  const Plan plan = plan_of(g, kSmall);
  REQUIRE(plan.steps.size() == 1);
  REQUIRE(plan.steps[0].body.size() == 1);
  CHECK(plan.steps[0].independent);
  CHECK(plan.steps[0].count == 6);
  CHECK(plan.steps[0].body[0].independent);
  check_same_bits(g);
}

TEST_CASE("rows of which a kernel walks several elements apart are whole outer rows") {
  Graph g("channels");
  g.add_output("y", softmax(tensor(g, "x", {64, 5, 8}), 1).value);
  CHECK(blocked(plan_of(g, kSmall).steps).size() == 1);
  check_same_bits(g);
}

TEST_CASE("what others read later stays whole, and sums over rows come after the loop") {
  Graph g("gradients");
  const Expr x = tensor(g, "x", {96, 50});
  const Expr y = softmax(x, 1);
  const Expr z = y * y;
  g.add_output("rows", reduce_sum(z, {1}).value);
  g.add_output("columns", reduce_sum(y, {0}).value);
  g.add_output("z", softmax(z, 1).value);
  const Plan plan = plan_of(g, kSmall);
  CHECK(blocked(plan.steps).size() == 1);
  CHECK(plan.steps.size() > 1);
  check_same_bits(g);
}

TEST_CASE("what is read at another row is not blocked with what writes it") {
  Graph g("transposed");
  const Expr e = exp(tensor(g, "x", {64, 64}));
  g.add_output("y", softmax(cumsum(e, 0) + transpose(cumsum(e, 1), {1, 0}), 1).value);
  check_same_bits(g);
}

TEST_CASE("prefix sums, integers and 16-bit floats have rows too") {
  Graph g("kinds");
  const Expr x = tensor(g, "x", {80, 60});
  const Expr sums = cumsum(x, 1);
  const Expr half = cast(sums, DType::bf16);
  const Expr whole = cast(sums * 16, DType::i32);
  g.add_output("half", (half / keep_axes(reduce_max(half, {1}), {1})).value);
  g.add_output("whole", (whole - keep_axes(reduce_min(whole, {1}), {1})).value);
  CHECK(!blocked(plan_of(g, kSmall).steps).empty());
  check_same_bits(g);
}

TEST_CASE("gradients are blocked like what they are of") {
  Graph g("step");
  const Expr x = tensor(g, "x", {96, 32}), residual = tensor(g, "residual", {96, 32});
  g.add_output("y", (layer_norm(x + residual) * tensor(g, "gamma", {32})).value);
  const Graph both = with_gradients(g);
  CHECK(!blocked(plan_of(both, kSmall).steps).empty());
  CHECK(plan_of(both, kSmall).arena_bytes < plan_of(both, kLarge).arena_bytes);
  check_same_bits(both);
}

TEST_CASE("few rows and rows beyond the cache are left to each kernel") {
  for (const Dims& dims : {Dims{15, 400}, Dims{40, 2000}}) {
    Graph g("left");
    g.add_output("y", softmax(tensor(g, "x", dims), 1).value);
    CHECK(blocked(plan_of(g, kSmall).steps).empty());
  }
}

TEST_CASE("calls are blocked in the steps of a scan") {
  Graph g("scan");
  auto step = std::make_shared<Graph>("step");
  const Expr carry = tensor(*step, "carry", {64, 40});
  step->add_output("next", softmax(carry + tensor(*step, "slice", {64, 40}), 1).value);
  const Expr last =
      scan(g, step, {tensor(g, "first", {64, 40})}, {tensor(g, "x", {3, 64, 40})}, {}, 3)[0];
  g.add_output("last", last.value);
  CHECK(blocked(plan_of(g, kSmall).steps).size() == 1);
  check_same_bits(g);
}

TEST_CASE("random graphs keep their bits") {
  int graphs = 0;
  for (uint64_t seed = 0; seed < testing::random_cases(1500); ++seed) {
    RandomGraph r = random_graph(seed);
    if (seed % 2 == 0) r.graph = with_gradients(r.graph);
    const int64_t tiny = int64_t{256} << seed % 4;
    graphs += blocked(plan_of(r.graph, tiny).steps).empty() ? 0 : 1;
    const auto whole = compile(r.graph, options(kLarge))->run(r.inputs);
    const auto parts = compile(r.graph, options(tiny))->run(r.inputs);
    for (size_t k = 0; k < whole.size(); ++k)
      REQUIRE_MESSAGE(first_difference(parts[k], whole[k]) == -1, "seed " << seed);
  }
  MESSAGE("blocked " << graphs);
  CHECK(graphs > 0);
}
