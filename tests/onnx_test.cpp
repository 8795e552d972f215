// ONNX models traced into stages and run by a session: folding, cuts, functions, subgraphs, errors.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "frontend/onnx/load.h"
#include "ir/eval.h"
#include "tests/support/expect_error.h"
#include "tests/support/onnx_node.h"

namespace lathe::onnx {
namespace {

using Inputs = std::vector<std::pair<std::string, Value>>;

// y = reshape(x, to), `to` given at run time.
Message reshape_model() {
  GraphBuilder g;
  g.input("x", ElemType::Float, {-1}).input("to", ElemType::Int64, {-1}).output("y");
  g.node(node_message("Neg", {"x"}, {"n"}));
  g.node(node_message("Reshape", {"n", "to"}, {"y"}));
  return model_message(g.m);
}

TEST_CASE("arithmetic of shapes folds away") {
  GraphBuilder g;
  g.input("x", ElemType::Float, {-1, 4}).output("y");
  g.initializer(tensor_message<int64_t>("zero", ElemType::Int64, {}, {0}));
  g.initializer(tensor_message<int64_t>("rest", ElemType::Int64, {1}, {-1}));
  g.initializer(tensor_message<int64_t>("axes", ElemType::Int64, {1}, {0}));
  g.node(node_message("Shape", {"x"}, {"shape"}));
  g.node(node_message("Gather", {"shape", "zero"}, {"n"}));
  g.node(node_message("Unsqueeze", {"n", "axes"}, {"list"}));
  g.node(node_message("Concat", {"rest", "list"}, {"to"}, {int_attribute("axis", 0)}));
  g.node(node_message("Reshape", {"x", "to"}, {"y"}));
  const auto model = parse(model_message(g.m));
  CHECK(free_dims(*model) == std::vector<std::string>{"x_0"});
  const Model m = load_graph(model, {{"x_0", 6}}, false);
  CHECK(m.graph.nodes().size() == 2);  // the input and one reshape
  CHECK(m.graph.type(m.graph.outputs()[0].value).text() == "f32[4,6]");
  CHECK(m.graph.outputs()[0].name == "y");
  CHECK(m.graph.node(m.graph.outputs()[0].value).name == "the_Reshape");
}

TEST_CASE("contents that only a run can tell cut the model, and are cached") {
  Session session(parse(reshape_model()), simd());
  const auto run = [&](const Dims& to) {
    return session.run(
        {{"x", floats({6}, {1, 2, 3, 4, 5, 6})}, {"to", longs({std::ssize(to)}, to)}})[0];
  };
  CHECK(run({2, 3}).dims() == Dims{2, 3});
  CHECK(session.counts().compiled == 2);
  const Value again = run({2, 3});
  CHECK(again.dims() == Dims{2, 3});
  CHECK(numbers(again)[5] == -6);
  CHECK(session.counts().compiled == 2);
  CHECK(run({3, -1}).dims() == Dims{3, 2});
  CHECK(session.counts().compiled == 3);
  expect_error([&] { run({4, 4}); }, {"test.onnx", "the_Reshape", "[4,4]"});
  expect_error([] { load_graph(parse(reshape_model()), {{"x_0", 6}, {"to_0", 2}}, false); },
               {"the_Reshape", "only a run can tell"}, ErrorKind::Unsupported);
}

TEST_CASE("a session keeps no more stages than it may") {
  SessionOptions o = simd();
  o.most_stages = 5;
  Session session(parse(reshape_model()), o);
  for (int64_t n = 1; n < 40; ++n) {
    const Value y = session.run({{"x", floats({n}, std::vector<float>(static_cast<size_t>(n), 1))},
                                 {"to", longs({2}, {1, n})}})[0];
    CHECK(y.dims() == Dims{1, n});
    CHECK(session.counts().kept <= 5);
  }
  CHECK(session.counts().compiled == 78);
}

TEST_CASE("If takes the branch that its condition names, with what it captures") {
  GraphBuilder then("then"), other("else"), g;
  then.output("a").node(node_message("Neg", {"x"}, {"a"}));
  other.output("b").node(node_message("Add", {"x", "x"}, {"b"}));
  g.input("x", ElemType::Float, {2}).input("c", ElemType::Bool, {}).output("y");
  g.node(node_message(
      "If", {"c"}, {"z"},
      {graph_attribute("then_branch", then.m), graph_attribute("else_branch", other.m)}));
  g.node(node_message("Abs", {"z"}, {"y"}));
  Session session(parse(model_message(g.m)), simd());
  const auto run = [&](bool c) {
    Tensor t = Tensor::zeros(DType::boolean, {});
    t.set_int(0, c ? 1 : 0);
    return numbers(session.run({{"x", floats({2}, {1, -3})}, {"c", Value::of(HostTensor(t))}})[0]);
  };
  CHECK(run(true) == std::vector<double>{1, 3});
  CHECK(run(false) == std::vector<double>{2, 6});
}

// Doubles x until it is above 100, at most `most` times, and returns x and all it was.
Message doubling_loop(bool stacked) {
  GraphBuilder body("body"), g;
  body.input("i", ElemType::Int64, {}).input("go", ElemType::Bool, {});
  body.input("v", ElemType::Float, {}).output("on", ElemType::Bool).output("w");
  if (stacked) body.output("w2");
  body.node(node_message("Add", {"v", "v"}, {"w"}));
  body.node(node_message("Identity", {"w"}, {"w2"}));
  body.node(node_message("Less", {"w", "limit"}, {"on"}));
  g.initializer(tensor_message<float>("limit", ElemType::Float, {}, {100}));
  g.input("x", ElemType::Float, {}).input("most", ElemType::Int64, {}).output("y");
  if (stacked) g.output("all");
  const std::vector<std::string> outputs = {"y", "all"};
  g.node(node_message("Loop", {"most", "", "x"},
                      {outputs.begin(), outputs.begin() + (stacked ? 2 : 1)},
                      {graph_attribute("body", body.m)}));
  return model_message(g.m);
}

TEST_CASE("a loop without stacked results is a while loop of the graph") {
  const Model m = load_graph(parse(doubling_loop(false)), {}, false);
  const auto run = [&](float x, int64_t most) {
    return evaluate(m.graph, std::vector<Tensor>{Tensor::scalar(x), Tensor::scalar(most)})[0].at(0);
  };
  CHECK(run(3, 50) == 192);
  CHECK(run(3, 2) == 12);
  CHECK(run(3, 0) == 3);
}

TEST_CASE("a loop whose results grow runs its body step by step, compiled once") {
  Session session(parse(doubling_loop(true)), simd());
  const auto out = session.run({{"x", floats({}, {20})}, {"most", longs({}, {50})}});
  CHECK(numbers(out[0]) == std::vector<double>{160});
  CHECK(numbers(out[1]) == std::vector<double>{40, 80, 160});
  const int64_t compiled = session.counts().compiled;
  const auto again = session.run({{"x", floats({}, {30})}, {"most", longs({}, {50})}});
  CHECK(numbers(again[1]) == std::vector<double>{60, 120});
  CHECK(session.counts().compiled == compiled + 1);  // what follows a list of another length
}

TEST_CASE("sequences are taken apart while tracing; what data decides is a host step") {
  GraphBuilder g;
  g.input("x", ElemType::Float, {4}).output("y").output("where", ElemType::Int64);
  g.initializer(tensor_message<int64_t>("one", ElemType::Int64, {}, {1}));
  g.initializer(tensor_message<int64_t>("two", ElemType::Int64, {}, {2}));
  g.node(node_message("SplitToSequence", {"x", "two"}, {"parts"}));
  g.node(node_message("SequenceAt", {"parts", "one"}, {"y"}));
  g.node(node_message("NonZero", {"x"}, {"where"}));
  Session session(parse(model_message(g.m)), simd());
  const auto run = [&](const std::vector<float>& x) {
    return session.run({{"x", floats({4}, x)}});
  };
  const auto out = run({0, 5, 0, 7});
  CHECK(numbers(out[0]) == std::vector<double>{0, 7});
  CHECK(out[1].dims() == Dims{1, 2});
  CHECK(numbers(out[1]) == std::vector<double>{1, 3});
  const int64_t compiled = session.counts().compiled;
  CHECK(numbers(run({3, 0, 0, 7})[1]) == std::vector<double>{0, 3});
  CHECK(session.counts().compiled == compiled);  // data does not decide, only how much there is
  CHECK(session.counts().host_steps == 2);
}

TEST_CASE("what floats decide is found by kernels; host steps copy") {
  const auto steps_of = [](std::string_view op, const std::vector<Value>& inputs, int outputs) {
    GraphBuilder g;
    std::vector<std::pair<std::string, Value>> given;
    std::vector<std::string> names, results;
    for (const Value& v : inputs) {
      names.push_back("in" + std::to_string(names.size()));
      g.input(names.back(), v.elem, v.dims());
      given.emplace_back(names.back(), v);
    }
    for (int k = 0; k < outputs; ++k) {
      results.push_back("out" + std::to_string(k));
      g.output(results.back());
    }
    g.node(node_message(op, names, results));
    Session session(parse(model_message(g.m)), simd());
    session.run(given);
    return session.report().nodes;
  };
  const Value x = floats({2, 3}, {3, 0, 5, 0, 1, 7});
  const NodeCounts top = steps_of("TopK", {x, longs({1}, {2})}, 2);
  CHECK(top.steps.empty());
  CHECK(top.compiled == 1);
  for (const NodeCounts& counts :
       {steps_of("NonZero", {x}, 1),
        steps_of("NonMaxSuppression",
                 {floats({1, 2, 4}, {0, 0, 1, 1, 0, 0, 1, 2}), floats({1, 1, 2}, {1, 2}),
                  longs({1}, {5}), floats({1}, {0.5}), floats({1}, {0})},
                 1)}) {
    CHECK(counts.steps.size() == 1);
    CHECK(counts.steps_on_floats.empty());
  }
  // It copies the elements.
  CHECK(steps_of("Unique", {x}, 4).steps_on_floats ==
        std::map<std::string, int64_t>{{"Unique", 1}});
}

// local.scale(x) = x * value, `value` being an attribute of the call.
Message scale_function() {
  Message f = Message().text(1, "scale").text(4, "x").text(5, "y").text(10, "local");
  f.message(9, opset_message(21)).message(11, float_attribute("by", 2));
  Message reference = Message().text(1, "value_float").text(21, "by").number(20, 1);
  f.message(7, node_message("Constant", {}, {"k"}, {reference}));
  return f.message(7, node_message("Mul", {"x", "k"}, {"y"}));
}

TEST_CASE("model functions, with attributes given and left out") {
  GraphBuilder g;
  g.input("x", ElemType::Float, {1}).output("y");
  g.node(node_message("scale", {"x"}, {"a"}, {}, "local"));
  g.node(node_message("scale", {"a"}, {"y"}, {float_attribute("by", 5)}, "local"));
  Session session(parse(model_message(g.m, 21, {scale_function()})), simd());
  CHECK(numbers(session.run({{"x", floats({1}, {3})}})[0]) == std::vector<double>{30});
}

TEST_CASE("functions that call themselves, or each other twice") {
  Message f = Message().text(1, "f").text(4, "x").text(5, "y").text(10, "local");
  f.message(9, opset_message(1, "local")).message(7, node_message("f", {"x"}, {"y"}, {}, "local"));
  GraphBuilder g;
  g.input("x", ElemType::Float, {1}).output("y").node(node_message("f", {"x"}, {"y"}, {}, "local"));
  const auto endless = parse(model_message(g.m, 21, {f}));
  expect_error([&] { load_graph(endless, {}, false); }, {"nested more than"});

  std::vector<Message> doubling;
  for (int i = 0; i < 40; ++i) {
    const std::string next = i == 39 ? "Neg" : fmt::format("f{}", i + 1);
    const std::string domain = i == 39 ? "" : "local";
    Message d = Message().text(1, fmt::format("f{}", i)).text(4, "x").text(5, "y");
    d.text(10, "local").message(9, opset_message(1, "local")).message(9, opset_message(21));
    d.message(7, node_message(next, {"x"}, {"m"}, {}, domain));
    doubling.push_back(d.message(7, node_message(next, {"m"}, {"y"}, {}, domain)));
  }
  GraphBuilder h;
  h.input("x", ElemType::Float, {1}).output("y");
  h.node(node_message("f0", {"x"}, {"y"}, {}, "local"));
  const auto bomb = parse(model_message(h.m, 21, doubling));
  expect_error([&] { load_graph(bomb, {}, false); }, {"unfolds to more than"});
}

TEST_CASE("parameters are graph inputs under the initializers' names") {
  GraphBuilder g;
  g.input("x", ElemType::Float, {1, 2}).output("y");
  g.initializer(tensor_message<float>("w", ElemType::Float, {2, 1}, {3, 4}));
  g.node(node_message("MatMul", {"x", "w"}, {"y"}));
  const Model m = load_graph(parse(model_message(g.m)), {}, true);
  REQUIRE(m.graph.inputs().size() == 2);
  CHECK(m.graph.inputs()[1].name == "w");
  CHECK(m.graph.inputs()[1].role == InputRole::Parameter);
  check_weights(m);
  const Tensor x = Tensor::from<float>({1, 2}, {1, 1});
  CHECK(evaluate(freeze(m), std::vector<Tensor>{x})[0].at(0) == 7);
}

TEST_CASE("errors name the file, the node and the op") {
  const auto refuse = [](const Message& node, std::initializer_list<std::string_view> words,
                         ErrorKind kind = ErrorKind::User) {
    GraphBuilder g;
    g.input("x", ElemType::Float, {2, 3}).output("y").node(node);
    const auto model = parse(model_message(g.m));
    expect_error([&] { load_graph(model, {}, false); }, words, kind);
  };
  refuse(node_message("Frobnicate", {"x"}, {"y"}),
         {"test.onnx: node 'the_Frobnicate' (Frobnicate)", "Frobnicate of ai.onnx"},
         ErrorKind::Unsupported);
  refuse(node_message("Neg", {"x"}, {"y"}, {int_attribute("mode", 1)}),
         {"the_Neg", "'mode'", "version 21"});
  refuse(node_message("Flatten", {"x"}, {"y"}, {float_attribute("axis", 1)}),
         {"'axis'", "float", "int was expected"});
  refuse(node_message("Neg", {}, {"y"}), {"the_Neg", "input 0 is missing"});
  refuse(node_message("MatMul", {"x", "x"}, {"y"}), {"the_MatMul", "f32[2,3]"});
  refuse(node_message("Softmax", {"x"}, {"y"}, {int_attribute("axis", 2)}),
         {"axis 2 is outside of 2 axes"});
  refuse(node_message("Neg", {"x"}, {"y"}, {}, "com.example"), {"no opset", "'com.example'"});

  Session session(parse(reshape_model()), simd());
  expect_error([&] { session.run({{"x", floats({1}, {1})}}); }, {"'to'", "not given"});
  expect_error([&] { session.run({{"x", longs({1}, {1})}, {"to", longs({1}, {1})}}); },
               {"'x' is int64[1]", "float[?]"});
}

}  // namespace
}  // namespace lathe::onnx
