// Attention by blocks of rows: the same bits, and memory that is linear in the tokens.
#include "passes/block_rows.h"

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <limits>
#include <set>

#include "backends/compile.h"
#include "ir/expr.h"
#include "ir/graph_verify.h"
#include "passes/rules.h"
#include "tests/support/fill.h"
#include "tests/support/ladder.h"

namespace lathe {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kTolerance = 1e-5;
// Small graphs, cut all the same.
constexpr RowLimits kSmall{
    .ratio = 2, .bytes = 1, .block_bytes = 1, .least_rows = 4, .band_rows = 8};

struct Sizes {
  int64_t batch = 2, heads = 3, groups = 1, queries = 21, keys = 23, size = 4;
};

// What happens to the scores [batch, heads * groups, queries, keys].
using Scores = std::function<Expr(const Expr&)>;

Expr softmax(const Expr& x) {
  const Dims last{x.rank() - 1};
  const Expr e = exp(x - keep_axes(stop_gradient(reduce_max(x, last)), last));
  return e / keep_axes(reduce_sum(e, last), last);
}

// With the gradient of the maximum, which comes to nothing and is computed all the same.
Expr softmax_through_maximum(const Expr& x) {
  const Dims last{x.rank() - 1};
  const Expr e = exp(x - keep_axes(reduce_max(x, last), last));
  return e / keep_axes(reduce_sum(e, last), last);
}

Expr product(const Expr& a, int64_t of_a, const Expr& b, int64_t of_b) {
  return dot_general(a, b,
                     {.lhs_batch = {0, 1},
                      .rhs_batch = {0, 1},
                      .lhs_contract = {of_a},
                      .rhs_contract = {of_b},
                      .dtype = DType::f32});
}

// Heads in groups share keys and values.
Graph attention(const Sizes& s, const Scores& shares) {
  Graph g("attention");
  const auto given = [&](const char* name, int64_t heads, int64_t length) {
    return input(g, name, {DType::f32, Shape{s.batch, heads, length, s.size}});
  };
  const Expr q = given("q", s.heads * s.groups, s.queries);
  const Expr k = given("k", s.heads, s.keys), v = given("v", s.heads, s.keys);
  const Expr apart = reshape(q, Shape{s.batch, s.heads, s.groups, s.queries, s.size});
  const Expr scores =
      reshape(product(apart, 4, k, 3) * 0.5, Shape{s.batch, s.heads * s.groups, s.queries, s.keys});
  const Expr p = reshape(shares(scores), Shape{s.batch, s.heads, s.groups, s.queries, s.keys});
  const Expr y =
      reshape(product(p, 4, v, 2), Shape{s.batch, s.heads * s.groups, s.queries, s.size});
  g.add_output("y", y.value);
  return g;
}

Expr causal(const Expr& scores) {
  const Shape places{scores.shape()[2].value(), scores.shape()[3].value()};
  Graph& g = *scores.graph;
  const Expr seen = le(iota(g, DType::i64, places, 1), iota(g, DType::i64, places, 0) + 1.0);
  return select(broadcast_to(seen, scores.shape()), scores, full_like(scores, -kInfinity));
}

std::vector<Tensor> inputs_of(const Graph& g, uint64_t seed) {
  Random random(seed);
  std::vector<Tensor> out;
  for (const GraphInput& in : g.inputs()) {
    out.push_back(Tensor::empty(in.type.dtype, in.type.shape.static_dims()));
    fill(out.back(), Fill::Small, random);
  }
  return out;
}

int count_scans(const Graph& g) {
  int n = 0;
  for (const Node& node : g.nodes()) {
    n += node.op == OpId::scan;
    for (const Region& r : node.regions) n += count_scans(*r);
  }
  return n;
}

std::vector<Tensor> run(const Graph& g, const std::vector<Tensor>& inputs) {
  CompileOptions options = compile_options();
  options.backend = Backend::Interpreter;
  return compile(g, options)->run(inputs);
}

// Elements of the largest value that is computed.
int64_t largest(const Graph& g) {
  int64_t most = 0;
  for (const Node& n : g.nodes()) {
    if (n.op == OpId::parameter || n.op == OpId::constant || n.op == OpId::reshape) continue;
    for (const TensorType& t : n.types) most = std::max(most, t.shape.element_count());
    for (const Region& r : n.regions) most = std::max(most, largest(*r));
  }
  return most;
}

// Last extents of all products.
std::set<int64_t> product_widths(const Graph& g) {
  std::set<int64_t> out;
  for (const Node& n : g.nodes()) {
    if (n.op == OpId::dot_general) out.insert(n.types[0].shape.static_dims().back());
    for (const Region& r : n.regions) out.merge(product_widths(*r));
  }
  return out;
}

void check_blocked(const Graph& g, uint64_t seed) {
  const Graph blocked = block_rows(g, kSmall);
  REQUIRE(verify_graph(blocked));
  CHECK(count_scans(blocked) > 0);
  CHECK(4 * largest(blocked) < largest(g));
  const std::vector<Tensor> inputs = inputs_of(g, seed);
  const std::vector<Tensor> a = run(g, inputs), b = run(blocked, inputs);
  REQUIRE(a.size() == b.size());
  for (size_t k = 0; k < a.size(); ++k) {
    REQUIRE(a[k].dims() == b[k].dims());
    CHECK(std::memcmp(a[k].raw(), b[k].raw(), static_cast<size_t>(a[k].bytes())) == 0);
  }
  const std::string fault = climb_ladder(blocked, inputs, kTolerance);
  CHECK_MESSAGE(fault.empty(), fault);
}

// Gradients read the scores' matrices again, and sum over rows in another order.
void check_gradients(const Graph& attention, uint64_t seed) {
  Graph squared = attention;
  const Expr y{&squared, squared.outputs()[0].value};
  squared.add_output("loss", (y * y).value);
  const Graph g = simplify(with_gradients(squared)), blocked = block_rows(g, kSmall);
  REQUIRE(verify_graph(blocked));
  CHECK(4 * largest(blocked) < largest(g));
  const std::vector<Tensor> inputs = inputs_of(g, seed);
  const std::string differs =
      compare_with_reference(run(blocked, inputs), run(g, inputs), kTolerance);
  CHECK_MESSAGE(differs.empty(), differs);
  const std::string fault = climb_ladder(blocked, inputs, kTolerance);
  CHECK_MESSAGE(fault.empty(), fault);
}

void check_unchanged(const Graph& g) { CHECK(count_scans(block_rows(g, kSmall)) == 0); }

}  // namespace

TEST_CASE("blocks of rows keep the bits of attention") {
  for (const Sizes& s : {Sizes{}, Sizes{.batch = 1, .heads = 1}, Sizes{.queries = 24},
                         Sizes{.heads = 2, .groups = 3}, Sizes{.queries = 24, .keys = 64},
                         Sizes{.batch = 1, .heads = 1, .groups = 2, .queries = 33}}) {
    CAPTURE(s.queries);
    CAPTURE(s.groups);
    check_blocked(attention(s, softmax), 1);
    check_blocked(attention(s, [](const Expr& x) { return softmax(causal(x)); }), 2);
  }
}

TEST_CASE("masks and biases are cut with the rows") {
  const Sizes s{.groups = 2};
  const auto bias = [&](const char* name, DType t, const Shape& shape) {
    return [name, t, shape](Graph& g) { return input(g, name, {t, shape}); };
  };
  const auto added = [&](Shape shape) {
    return attention(s, [&, shape](const Expr& x) {
      return softmax(x + broadcast_to(bias("bias", DType::f32, shape)(*x.graph), x.shape()));
    });
  };
  check_blocked(added({s.queries, s.keys}), 3);
  check_blocked(added({s.batch, 1, 1, s.keys}), 4);
  check_blocked(added({1, s.heads * s.groups, s.queries, s.keys}), 5);
  check_blocked(added({s.batch, 1, s.queries, 1}), 6);
  check_blocked(
      attention(s,
                [&](const Expr& x) {
                  const Expr mask =
                      bias("mask", DType::boolean, Shape{s.batch, 1, s.queries, s.keys})(*x.graph);
                  return softmax(select(broadcast_to(mask, x.shape()), x, full_like(x, -1e9)));
                }),
      7);
  // A bias for each distance, as T5 has it.
  check_blocked(attention(s,
                          [&](const Expr& x) {
                            Graph& g = *x.graph;
                            const Expr table = input(g, "table", {DType::f32, Shape{64}});
                            const Shape places{s.queries, s.keys};
                            const Expr distance = iota(g, DType::i32, places, 0) -
                                                  iota(g, DType::i32, places, 1) + 30.0;
                            return softmax(tanh(x) * 3.0 +
                                           broadcast_to(gather(table, distance, 0), x.shape()));
                          }),
                8);
}

TEST_CASE("rows that are hidden whole are what they were") {
  check_blocked(attention({},
                          [](const Expr& x) {
                            const Expr row = iota(*x.graph, DType::i64, x.shape(), 2);
                            const Expr hidden = select(eq(row, 5.0), full_like(x, -kInfinity), x);
                            const Expr top = keep_axes(reduce_max(hidden, {3}), {3});
                            const Expr e =
                                exp(hidden - select(eq(top, -kInfinity), full_like(top, 0), top));
                            const Expr sum = keep_axes(reduce_sum(e, {3}), {3});
                            return e / select(eq(sum, 0.0), full_like(sum, 1), sum);
                          }),
                9);
}

TEST_CASE("scores of keys by queries are cut along the queries") {
  Graph g("keys_first");
  const Expr q = input(g, "q", {DType::f32, Shape{40, 3}}),
             k = input(g, "k", {DType::f32, Shape{24, 3}});
  const Expr v = input(g, "v", {DType::f32, Shape{24, 3}});
  const Expr scores = dot_general(k, q, {.lhs_contract = {1}, .rhs_contract = {1}});
  const Expr e = exp(scores - keep_axes(reduce_max(scores, {0}), {0}));
  const Expr sum = reduce_sum(e, {0});
  const Expr y =
      dot_general(e / keep_axes(sum, {0}), v, {.lhs_contract = {0}, .rhs_contract = {0}});
  g.add_output("y", y.value);
  g.add_output("sums", sum.value);
  check_blocked(g, 10);
}

TEST_CASE("gradients of attention are cut into rows too") {
  const Sizes cut_whole{.queries = 24}, with_rest{}, shared{.heads = 2, .groups = 3};
  for (const Sizes& s : {cut_whole, with_rest, shared, Sizes{.batch = 1, .heads = 1}}) {
    CAPTURE(s.queries);
    CAPTURE(s.groups);
    check_gradients(attention(s, softmax), 11);
    check_gradients(attention(s, [](const Expr& x) { return softmax(causal(x)); }), 12);
    check_gradients(attention(s, [](const Expr& x) { return softmax_through_maximum(causal(x)); }),
                    17);
  }
  // The gradient of a bias that rows or heads share is a sum over them.
  const Sizes s;
  for (const Shape& shape : {Shape{s.queries, s.keys}, Shape{s.batch, 1, 1, s.keys}, Shape{s.keys},
                             Shape{1, s.heads, s.queries, 1}})
    check_gradients(attention(s,
                              [&](const Expr& x) {
                                const Expr bias = input(*x.graph, "bias", {DType::f32, shape});
                                return softmax(x + broadcast_to(bias, x.shape()));
                              }),
                    13);
}

TEST_CASE("columns that a causal mask hides are left out") {
  const Sizes s{.batch = 1, .heads = 2, .queries = 100, .keys = 100};
  const auto masked = [](const Expr& bias_or_seen, const Expr& x) {
    return bias_or_seen.dtype() == DType::boolean
               ? select(broadcast_to(bias_or_seen, x.shape()), x, full_like(x, -kInfinity))
               : x + broadcast_to(bias_or_seen, x.shape());
  };
  const auto seen = [](Graph& g, int64_t past, const Sizes& of) {
    const Shape places{of.queries, of.keys};
    return le(iota(g, DType::i64, places, 1),
              iota(g, DType::i64, places, 0) + static_cast<double>(past));
  };
  const auto bias = [&](Graph& g) {
    const Expr allowed = seen(g, 0, s);
    const TensorType t{DType::f32, allowed.shape()};
    return select(allowed, full(g, t, 0), full(g, t, -kInfinity));
  };
  const Graph by_select =
      attention(s, [&](const Expr& x) { return softmax(masked(seen(*x.graph, 3, s), x)); });
  const Graph through_maximum = attention(
      s, [&](const Expr& x) { return softmax_through_maximum(masked(seen(*x.graph, 1, s), x)); });
  const Graph by_bias =
      attention(s, [&](const Expr& x) { return softmax(masked(bias(*x.graph), x * 0.5)); });
  // As literals, which models of ONNX have: truth values, and numbers that are added.
  const auto triangle = [&](DType t) {
    Tensor out = Tensor::zeros(t, {s.queries, s.keys});
    for (int64_t row = 0; row < s.queries; ++row)
      for (int64_t column = 0; column < s.keys; ++column) {
        const bool shown = column <= row;
        out.set(row * s.keys + column, t == DType::boolean ? shown : shown ? 0 : -kInfinity);
      }
    return out;
  };
  const auto by_literal = [&](DType t) {
    return attention(
        s, [&](const Expr& x) { return softmax(masked(constant(*x.graph, triangle(t)), x)); });
  };
  const Graph by_truths = by_literal(DType::boolean), by_numbers = by_literal(DType::f32);
  for (const Graph* g : {&by_select, &by_bias, &through_maximum, &by_truths, &by_numbers}) {
    check_blocked(*g, 14);
    check_gradients(*g, 15);
    const std::set<int64_t> widths = product_widths(block_rows(*g, kSmall));
    for (const int64_t width : {32, 64, 96, 100}) CHECK(widths.contains(width));
  }
  // Not known to be hidden: any row may see any column, or hides it by a number.
  for (const double hidden : {-1e9, -kInfinity}) {
    const Graph g = attention(s, [&](const Expr& x) {
      Expr allowed = seen(*x.graph, 0, s);
      if (hidden == -kInfinity)
        allowed = bit_or(allowed, input(*x.graph, "also", {DType::boolean, allowed.shape()}));
      return softmax(select(broadcast_to(allowed, x.shape()), x, full_like(x, hidden)));
    });
    check_blocked(g, 16);
    const std::set<int64_t> widths = product_widths(block_rows(g, kSmall));
    CHECK(!widths.contains(32));
    CHECK(widths.contains(100));
  }
}

TEST_CASE("scores that are read elsewhere stay whole") {
  Graph g = attention({}, softmax);
  for (uint32_t id = 0; id < g.nodes().size(); ++id)
    if (g.nodes()[id].op == OpId::exp) g.add_output("e", {id, 0});
  check_unchanged(g);
}

TEST_CASE("small products stay whole") {
  const Graph g =
      attention({.batch = 16, .heads = 4, .queries = 128, .keys = 128, .size = 32}, softmax);
  CHECK(count_scans(block_rows(g)) == 0);
}

TEST_CASE("the arena of attention is linear in its tokens") {
  const auto arena = [](int64_t tokens, bool masked) {
    const Sizes s{.batch = 1, .heads = 12, .queries = tokens, .keys = tokens, .size = 64};
    const Graph g = attention(s, [&](const Expr& x) { return softmax(masked ? causal(x) : x); });
    return compile_program(g, compile_options()).plan.arena_bytes;
  };
  for (const bool masked : {false, true}) {
    CAPTURE(masked);
    CHECK(arena(1024, masked) < int64_t{8} << 20);  // the scores are 48 MB
    CHECK(arena(2048, masked) <= 2 * arena(1024, masked));
  }
}

}  // namespace lathe
