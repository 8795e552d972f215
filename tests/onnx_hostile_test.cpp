// Small ONNX files that ask for much: refused by `lathe` itself, in a process of 1 GiB and 10 s,
// with exit 1 and a message that names file, node and value. What is malformed in a single message
// is in onnx_reader_test.cpp.
#include <doctest/doctest.h>

#include "tests/support/effort.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/project.h"

namespace lathe::onnx {
namespace {

using testing::Captured;
using testing::ScratchFolder;
using Names = std::initializer_list<std::string_view>;

constexpr int64_t kHuge = int64_t{1} << 40;

// 1 GiB beside the program itself, which maps less than 256 MiB; sanitizers map more than there is.
Captured limited(std::vector<std::string> arguments) {
  const std::string memory = testing::kSanitized ? "" : "ulimit -v 1310720; ";
  std::vector<std::string> command = {"sh", "-c", memory + "ulimit -t 10; exec \"$@\"", "sh",
                                      testing::lathe_program()};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return testing::run_program(command, {"LATHE_THREADS=1"});
}

void check_refused(const Message& model, Names names, std::vector<std::string> options = {}) {
  const ScratchFolder scratch;
  CHECK(model.data().size() < 4096);
  std::vector<std::string> arguments = {
      "run", scratch.write("hostile.onnx", model.data()), "--random", "1", "--backend", "simd"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  const Captured c = limited(arguments);
  CAPTURE(c.err);
  CHECK(c.status == 1);
  CHECK(c.out.empty());
  CHECK(c.err.find("a bug in lathe") == std::string::npos);
  testing::check_names(c.err, {"hostile.onnx"});
  testing::check_names(c.err, names);
}

Message longs(std::string_view name, const std::vector<int64_t>& values) {
  return tensor_message<int64_t>(name, ElemType::Int64, {std::ssize(values)}, values);
}

// y = OP(x, lists..), x of the given dims.
Message one_node(std::string_view op, const Dims& dims,
                 const std::vector<std::vector<int64_t>>& lists,
                 const std::vector<Message>& attributes = {}, int64_t opset = 21) {
  GraphBuilder g;
  std::vector<std::string> inputs;
  if (!dims.empty()) {
    g.input("x", ElemType::Float, dims);
    inputs.emplace_back("x");
  }
  for (const std::vector<int64_t>& list : lists) {
    inputs.push_back("list" + std::to_string(inputs.size()));
    g.initializer(longs(inputs.back(), list));
  }
  g.output("y").node(node_message(op, inputs, {"y"}, attributes));
  return model_message(g.m, opset);
}

Message local_function(const std::string& name, const std::vector<Message>& nodes) {
  Message f = Message().text(1, name).text(4, "x").text(5, "y").text(10, "local");
  f.message(9, opset_message(1, "local")).message(9, opset_message(21));
  for (const Message& n : nodes) f.message(7, n);
  return f;
}

// A model that calls function f on x.
Message calls_f(const std::vector<Message>& functions, const Dims& dims = {1}) {
  GraphBuilder g;
  g.input("x", ElemType::Float, dims).output("y");
  g.node(node_message("f", {"x"}, {"y"}, {}, "local"));
  return model_message(g.m, 21, functions);
}

TEST_CASE("functions that call each other twice, or themselves, and in branches") {
  std::vector<Message> doubling;
  for (int i = 0; i < 22; ++i) {
    const std::string next = i == 21 ? "Neg" : "f" + std::to_string(i + 1);
    const std::string domain = i == 21 ? "" : "local";
    doubling.push_back(local_function(i == 0 ? "f" : "f" + std::to_string(i),
                                      {node_message(next, {"x"}, {"m"}, {}, domain),
                                       node_message(next, {"m"}, {"y"}, {}, domain)}));
  }
  check_refused(calls_f(doubling), {"unfolds to more than 65536 nodes"});
  check_refused(calls_f({local_function("f", {node_message("f", {"x"}, {"y"}, {}, "local")})}),
                {"'the_f' (f)", "nested more than 200 deep"});

  GraphBuilder branch("branch"), other("other");
  branch.output("a").node(node_message("f", {"x"}, {"a"}, {}, "local"));
  other.output("b").node(node_message("Neg", {"x"}, {"b"}));
  const Message endless =
      local_function("f", {node_message("ReduceSum", {"x"}, {"s"}, {int_attribute("keepdims", 0)}),
                           node_message("Less", {"s", "s"}, {"c"}),
                           node_message("If", {"c"}, {"y"},
                                        {graph_attribute("then_branch", branch.m),
                                         graph_attribute("else_branch", other.m)})});
  check_refused(calls_f({endless}), {"nested more than"});
}

TEST_CASE("subgraphs in subgraphs") {
  Message graph = GraphBuilder().m;
  for (int i = 0; i < 45; ++i) {
    GraphBuilder outer;
    outer.node(node_message("If", {}, {}, {graph_attribute("then_branch", graph)}));
    graph = outer.m;
  }
  check_refused(model_message(graph), {"nested more than 40 deep"});
}

TEST_CASE("a loop that goes on for ever is read, and one that stacks as much is refused") {
  GraphBuilder body("body"), g, stacking;
  body.input("i", ElemType::Int64, {}).input("go", ElemType::Bool, {});
  body.input("v", ElemType::Float, {1}).output("on", ElemType::Bool).output("w");
  body.node(node_message("Identity", {"go"}, {"on"})).node(node_message("Exp", {"v"}, {"w"}));
  g.initializer(tensor_message<int64_t>("most", ElemType::Int64, {}, {int64_t{1} << 62}));
  g.initializer(tensor_message<float>("x", ElemType::Float, {1}, {1}));
  stacking = g;
  g.output("y").node(
      node_message("Loop", {"most", "", "x"}, {"y"}, {graph_attribute("body", body.m)}));
  const ScratchFolder scratch;
  const Captured c = limited({"inspect", scratch.write("endless.onnx", model_message(g.m).data())});
  CAPTURE(c.err);
  CHECK(c.status == 0);
  CHECK(c.out.find("length=4611686018427387904") != std::string::npos);

  body.output("z").node(node_message("Neg", {"v"}, {"z"}));
  stacking.output("y").output("all");
  stacking.node(
      node_message("Loop", {"most", "", "x"}, {"y", "all"}, {graph_attribute("body", body.m)}));
  check_refused(model_message(stacking.m), {"'the_Loop' (Loop)", "4611686018427387904"});
}

TEST_CASE("shapes beyond all memory") {
  check_refused(one_node("ConstantOfShape", {}, {{kHuge, kHuge}}),
                {"'the_ConstantOfShape' (ConstantOfShape)", "1099511627776,1099511627776"});
  check_refused(one_node("ConstantOfShape", {}, {{-3}}), {"'the_ConstantOfShape'", "-3"});
  check_refused(one_node("Expand", {1, 1}, {{kHuge, kHuge}}), {"'the_Expand' (Expand)", "2^46"});
  check_refused(one_node("Tile", {2, 2}, {{int64_t{1} << 62, 2}}),
                {"'the_Tile' (Tile)", "4611686018427387904"});
  check_refused(one_node("Pad", {2}, {{0, int64_t{1} << 60}}), {"'the_Pad' (Pad)", "a pad of"});
  check_refused(one_node("Pad", {2}, {{0, kHuge}}, {text_attribute("mode", "reflect")}),
                {"'the_Pad' (Pad)", "1099511627778 positions", "33554432"});
  check_refused(one_node("Reshape", {4}, {{int64_t{1} << 33, int64_t{1} << 33}}),
                {"'the_Reshape' (Reshape)"});
  check_refused(one_node("Neg", {kHuge, kHuge}, {}), {"'x'", "2^46"});
  check_refused(one_node("Neg", {kHuge}, {}), {"'x'"});
  GraphBuilder g;
  for (const auto& [name, value] : {std::pair("from", 0L), {"to", 1L << 62}, {"step", 1L}})
    g.initializer(tensor_message<int64_t>(name, ElemType::Int64, {}, {value}));
  g.output("y", ElemType::Int64).node(node_message("Range", {"from", "to", "step"}, {"y"}));
  check_refused(model_message(g.m), {"'the_Range' (Range)", "length of 4.6"});
}

TEST_CASE("results that do not fit into memory") {
  check_refused(one_node("ConstantOfShape", {}, {{kHuge}}), {"1099511627776"});
  check_refused(one_node("Pad", {2}, {{0, kHuge}}), {"1099511627778"});
}

TEST_CASE("tables that nodes would become") {
  const auto scalar = [](std::string_view name, int64_t v) {
    return tensor_message<int64_t>(name, ElemType::Int64, {}, {v});
  };
  GraphBuilder window;
  window.initializer(scalar("n", int64_t{1} << 29)).output("y");
  window.node(node_message("HannWindow", {"n"}, {"y"}));
  check_refused(model_message(window.m), {"'the_HannWindow' (HannWindow)", "536870912 elements"});

  // A prime number of elements has no faster transform than by its matrix.
  check_refused(one_node("DFT", {1, 131071, 1}, {}, {int_attribute("axis", 1)}, 17),
                {"'the_DFT' (DFT)", "17179607041 coefficients"});
  GraphBuilder parts;
  parts.initializer(longs("n", {kHuge})).output("y");
  parts.node(node_message("ConstantOfShape", {"n"}, {"x"}));
  parts.node(node_message("SplitToSequence", {"x"}, {"y"}));
  check_refused(model_message(parts.m), {"'the_SplitToSequence'", "elements of a sequence"});
  check_refused(
      one_node("DepthToSpace", {1, 4, 2, 2}, {}, {int_attribute("blocksize", int64_t{1} << 32)}),
      {"'the_DepthToSpace'", "blocks of 4294967296"});

  Message sizes = ints_attribute("axes", {2, 3});
  GraphBuilder resize;
  resize.input("x", ElemType::Float, {1, 1, 2, 2}).output("y");
  resize.initializer(longs("sizes", {int64_t{1} << 30, int64_t{1} << 30}));
  resize.node(node_message("Resize", {"x", "", "", "sizes"}, {"y"},
                           {sizes, text_attribute("mode", "linear")}));
  check_refused(model_message(resize.m), {"'the_Resize' (Resize)", "indices and weights"});
}

TEST_CASE("sparse tensors of few values, texts that double") {
  const Message values = tensor_message<float>("w", ElemType::Float, {1}, {1});
  const Message at = tensor_message<int64_t>("", ElemType::Int64, {1}, {5});
  const Message sparse =
      Message().message(1, values).message(2, at).number(3, 1 << 15).number(3, 1 << 15);
  GraphBuilder g;
  g.m.message(15, sparse);
  g.output("w");
  check_refused(model_message(g.m), {"'w'", "[32768,32768]", "33554432"});

  GraphBuilder texts;
  texts.m.message(5, Message().number(2, 8).text(6, "0123456789").text(8, "t0"));
  for (int i = 0; i < 50; ++i) {
    const std::string t = "t" + std::to_string(i);
    texts.node(node_message("StringConcat", {t, t}, {"t" + std::to_string(i + 1)}));
  }
  texts.output("t50", ElemType::String);
  check_refused(model_message(texts.m), {"memory"});
}

TEST_CASE("graphs that contradict themselves") {
  GraphBuilder cycle;
  cycle.output("a").node(node_message("Neg", {"b"}, {"a"})).node(node_message("Abs", {"a"}, {"b"}));
  check_refused(model_message(cycle.m), {"'the_Neg' (Neg)", "cycle"});

  GraphBuilder twice;
  twice.input("x", ElemType::Float, {1}).output("y");
  twice.node(node_message("Abs", {"x"}, {"y"})).node(node_message("Neg", {"x"}, {"y"}));
  check_refused(model_message(twice.m), {"'the_Neg' (Neg)", "'y' is defined twice"});

  GraphBuilder dims;
  dims.output("w").initializer(tensor_message<float>("w", ElemType::Float, {-4}, {1}));
  check_refused(model_message(dims.m), {"'w'", "dim -4"});
  GraphBuilder overflow;
  overflow.output("w").initializer(
      tensor_message<float>("w", ElemType::Float, {int64_t{1} << 62, int64_t{1} << 62}, {1}));
  check_refused(model_message(overflow.m), {"'w'", "too large"});
}

TEST_CASE("external data outside of the model's folder") {
  const ScratchFolder scratch;
  scratch.write("secret.bin", "12345678");
  std::filesystem::create_directory(scratch.path("inner"));
  std::filesystem::create_symlink("../secret.bin", scratch.path("inner/link.bin"));
  for (const std::string& location :
       {std::string("../secret.bin"), scratch.path("secret.bin"), std::string("link.bin"),
        std::string("inner/../../secret.bin"), std::string("/dev/zero")}) {
    Message t = Message().number(1, 2).number(2, 1).text(8, "w").number(14, 1);
    t.message(13, Message().text(1, "location").text(2, location));
    GraphBuilder g;
    g.output("w").initializer(t);
    const std::string file = scratch.write("inner/model.onnx", model_message(g.m).data());
    const Captured c = limited({"run", file});
    CAPTURE(c.err);
    CHECK(c.status == 1);
    testing::check_names(c.err, {"model.onnx", "'w'", location});
  }
}

TEST_CASE("the limits are options") {
  GraphBuilder g;
  g.input("x", ElemType::Float, {1}).output("v4");
  std::string last = "x";
  for (int i = 0; i < 5; ++i) {
    const std::string next = "v" + std::to_string(i);
    g.node(node_message("Exp", {last}, {next}));
    last = next;
  }
  check_refused(model_message(g.m), {"more than 4 nodes"}, {"--max-nodes", "4"});
  GraphBuilder window;
  window.initializer(tensor_message<int64_t>("n", ElemType::Int64, {}, {1000})).output("y");
  window.node(node_message("HannWindow", {"n"}, {"y"}));
  check_refused(model_message(window.m), {"'the_HannWindow'", "more than 999 elements"},
                {"--max-elements", "999"});
  const ScratchFolder scratch;
  const std::string file = scratch.write("window.onnx", model_message(window.m).data());
  CHECK(limited({"run", file, "--backend", "simd", "--max-elements", "2000"}).status == 0);
  for (const std::string verb : {"run", "bench", "check", "inspect", "compile"}) {
    const Captured help = testing::lathe_cli({verb, "--help"});
    testing::check_names(help.out, {"--max-nodes", "65536", "--max-elements", "33554432"});
  }
}

}  // namespace
}  // namespace lathe::onnx
