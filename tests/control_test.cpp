// Scan, while, if and composite: what they accept, values by hand, and what a gradient keeps.
#include <doctest/doctest.h>

#include "ir/eval.h"
#include "ir/expr.h"
#include "ir/op.h"
#include "passes/autodiff.h"

namespace lathe {
namespace {

using Numbers = std::vector<double>;
using Body = std::function<std::vector<Expr>(Graph&, const std::vector<Expr>&)>;

Region region(const Types& inputs, const Body& body) {
  auto g = std::make_shared<Graph>("body");
  std::vector<Expr> in;
  for (const TensorType& t : inputs) in.push_back(input(*g, fmt::format("x{}", in.size()), t));
  for (const Expr& e : body(*g, in)) g->add_output("out", e.value);
  return g;
}

const TensorType kNumber{DType::f32, {}}, kCount{DType::i64, {}}, kBool{DType::boolean, {}};

// The message of the user error that adding this node gives; empty if there is none.
std::string refusal(OpId op, const Types& operands, Attrs attrs, std::vector<Region> regions) {
  Graph g;
  std::vector<Value> values;
  for (const TensorType& t : operands)
    values.push_back(g.add_input(fmt::format("x{}", values.size()), t));
  try {
    g.add(op, std::move(values), std::move(attrs), std::move(regions));
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::User);
    return e.what();
  }
  return "";
}

bool contains(const std::string& text, std::string_view part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) MESSAGE("refused with: \"", text, "\"");
  return found;
}

Numbers value_of(const Expr& e) {
  Graph copy = *e.graph;
  copy.set_outputs({{"out", e.value, -1}});
  const Tensor t = evaluate(copy, std::vector<Tensor>{})[0];
  Numbers out;
  for (int64_t i = 0; i < t.size(); ++i) out.push_back(t.at(i));
  return out;
}

// a' = 2a + x, y = a
Region doubling() {
  return region({kNumber, kNumber}, [](Graph&, const std::vector<Expr>& in) {
    return std::vector<Expr>{in[0] * 2 + in[1], in[0]};
  });
}

const Node* find_node(const Graph& g, OpId op) {
  for (const Node& n : g.nodes())
    if (n.op == op) return &n;
  return nullptr;
}

}  // namespace

TEST_CASE("scan refuses counts, lengths and regions that do not match") {
  const TensorType row{DType::f32, {3}};
  const auto refused = [](const Types& operands, const ScanAttrs& a, const Region& body) {
    return refusal(OpId::scan, operands, a, {body});
  };
  // [scan-1] .. [scan-4], [control-1] .. [control-3]
  CHECK(refused({kNumber, row}, {1, 1, 3, false}, doubling()) == "");
  CHECK(contains(refused({kNumber, row}, {1, 2, 3, false}, doubling()), "1 carries and 2 scanned"));
  CHECK(contains(refused({kNumber, row}, {-1, 2, 3, false}, doubling()), "-1 carries"));
  CHECK(contains(refused({kNumber, row}, {1, 1, -3, false}, doubling()), "length is -3"));
  CHECK(contains(refused({kNumber, row}, {1, 1, 4, false}, doubling()), "leading axis of 4"));
  CHECK(contains(refused({kNumber, kNumber}, {1, 1, 4, false}, doubling()), "f32[]"));
  CHECK(contains(refused({kNumber}, {1, 0, 3, false}, doubling()), "takes 2 inputs, 1 are passed"));
  CHECK(contains(refused({kCount, row}, {1, 1, 3, false}, doubling()), "i64[] is passed"));
  const Region empty = region({kNumber}, [](Graph&, const auto&) { return std::vector<Expr>(); });
  CHECK(contains(refused({kNumber}, {1, 0, 3, false}, empty), "gives 0 values"));
  const Region turns = region({kNumber}, [](Graph&, const std::vector<Expr>& in) {
    return std::vector<Expr>{cast(in[0], DType::i64)};
  });
  CHECK(contains(refused({kNumber}, {1, 0, 3, false}, turns), "f32[] and becomes i64[]"));
}

TEST_CASE("scan runs either way and leaves outputs at their own index") {
  for (const bool reverse : {false, true}) {
    Graph g;
    const Expr start = constant(g, Tensor::scalar<float>(1));
    const Expr xs = constant(g, Tensor::from<float>({3}, {10, 20, 30}));
    const auto r = scan(g, doubling(), {start}, {xs}, {}, 3, reverse);
    CHECK(value_of(r[0]) == (reverse ? Numbers{178} : Numbers{118}));
    CHECK(value_of(r[1]) == (reverse ? Numbers{84, 32, 1} : Numbers{1, 12, 44}));
  }
}

TEST_CASE("the gradient of a linear scan saves nothing") {
  Graph g;
  const Expr start = input(g, "start", kNumber), xs = input(g, "xs", {DType::f32, {3}});
  g.add_output("end", scan(g, doubling(), {start}, {xs}, {}, 3)[0].value);
  const Graph d = gradient_graph(g, 0, {0, 1});
  for (const Node& n : d.nodes())
    if (n.op == OpId::scan) CHECK(n.types.size() == 2);
  const auto out = evaluate(
      d, std::vector<Tensor>{Tensor::scalar<float>(1), Tensor::from<float>({3}, {10, 20, 30})});
  CHECK(out[1].at(0) == 8);
  CHECK(out[2].at(0) == 4);
  CHECK(out[2].at(1) == 2);
  CHECK(out[2].at(2) == 1);
}

TEST_CASE("the gradient of a recurrent scan stacks each value once") {
  Graph g;
  const Region cell = region({kNumber, kNumber, kNumber}, [](Graph&, const std::vector<Expr>& in) {
    const Expr h = tanh(in[0] * in[2] + in[1]);
    return std::vector<Expr>{h, h};
  });
  const Expr start = input(g, "start", kNumber), xs = input(g, "xs", {DType::f32, {5}}),
             u = input(g, "u", kNumber);
  g.add_output("end", scan(g, cell, {start}, {xs}, {u}, 5)[0].value);
  const Graph d = gradient_graph(g, 0, {0, 1, 2});
  // The forward scan: h, the stack of h (its own output, not a second copy), the incoming h.
  const Node* forward = find_node(d, OpId::scan);
  REQUIRE(forward != nullptr);
  CHECK(forward->types.size() == 3);
}

TEST_CASE("while runs until its condition is false, also not once") {
  const Region below = region({kCount, kCount}, [](Graph&, const std::vector<Expr>& in) {
    return std::vector<Expr>{lt(in[0], in[1])};
  });
  const Region square = region({kCount, kCount}, [](Graph&, const std::vector<Expr>& in) {
    return std::vector<Expr>{in[0] * in[0]};
  });
  const auto run = [&](int64_t start, int64_t limit) {
    Graph g;
    return value_of(while_loop(g, below, square, {constant(g, Tensor::scalar(start))},
                               {constant(g, Tensor::scalar(limit))})[0]);
  };
  CHECK(run(3, 1000) == Numbers{6561});
  CHECK(run(3, 2) == Numbers{3});
  // [while-1] [while-2] [while-3]
  CHECK(contains(refusal(OpId::while_loop, {kCount, kCount}, WhileAttrs{3}, {below, square}),
                 "3 carries among 2"));
  CHECK(contains(refusal(OpId::while_loop, {kCount, kCount}, WhileAttrs{1}, {square, square}),
                 "one bool[]"));
  CHECK(contains(refusal(OpId::while_loop, {kCount, kCount}, WhileAttrs{2}, {below, square}),
                 "gives 1 values"));
}

TEST_CASE("a gradient through while is refused with the reason") {
  const Region never = region({kNumber}, [](Graph& g, const auto&) {
    return std::vector<Expr>{constant(g, Tensor::scalar<bool>(false))};
  });
  const Region same = region({kNumber}, [](Graph&, const std::vector<Expr>& in) { return in; });
  Graph g;
  const Expr x = input(g, "x", kNumber);
  g.add_output("loss", while_loop(g, never, same, {x}, {})[0].value);
  std::string message;
  try {
    gradient_graph(g, 0, {0});
  } catch (const Error& e) {
    message = e.what();
  }
  CHECK(contains(message, "use scan"));
}

TEST_CASE("if takes the branch of its condition") {
  const Region plus = region(
      {kNumber}, [](Graph&, const std::vector<Expr>& in) { return std::vector<Expr>{in[0] + 1}; });
  const Region times = region(
      {kNumber}, [](Graph&, const std::vector<Expr>& in) { return std::vector<Expr>{in[0] * 10}; });
  for (const bool c : {true, false}) {
    Graph g;
    const Expr condition = constant(g, Tensor::scalar<bool>(c));
    const Expr x = constant(g, Tensor::scalar<float>(5));
    CHECK(value_of(if_else(condition, plus, times, {x})[0]) == (c ? Numbers{6} : Numbers{50}));
  }
  const Region none = region({kNumber}, [](Graph&, const auto&) { return std::vector<Expr>(); });
  const Region count = region({kNumber}, [](Graph&, const std::vector<Expr>& in) {
    return std::vector<Expr>{cast(in[0], DType::i64)};
  });
  // [if-1] [if-2] [if-3]
  CHECK(contains(refusal(OpId::if_else, {kNumber}, NoAttrs{}, {plus, times}), "must be bool[]"));
  CHECK(contains(refusal(OpId::if_else, {kBool, kNumber}, NoAttrs{}, {plus, none}), "1 and 0"));
  CHECK(contains(refusal(OpId::if_else, {kBool, kNumber}, NoAttrs{}, {plus, count}),
                 "f32[] in one region and i64[]"));
}

TEST_CASE("a composite is named and means its region") {
  const Region square = region({kNumber}, [](Graph&, const std::vector<Expr>& in) {
    return std::vector<Expr>{in[0] * in[0], -in[0]};
  });
  Graph g;
  const auto r = composite(g, "square", square, {constant(g, Tensor::scalar<float>(3))});
  CHECK(value_of(r[0]) == Numbers{9});
  CHECK(value_of(r[1]) == Numbers{-3});
  // [composite-1]
  CHECK(contains(refusal(OpId::composite, {kNumber}, CompositeAttrs{""}, {square}), "has a name"));
  CHECK(contains(refusal(OpId::composite, {kCount}, CompositeAttrs{"s"}, {square}), "is passed"));
}

}  // namespace lathe
