// ONNX messages read from bytes: what they become, and what is refused with which words.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "frontend/onnx/convert.h"
#include "tests/support/expect_error.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/scratch.h"

namespace lathe::onnx {
namespace {

// y = x + w, with the two nodes of y = Neg(x + w) in the wrong order.
GraphBuilder small_graph() {
  GraphBuilder g;
  g.input("x", ElemType::Float, {-1, 2}).output("y");
  g.initializer(tensor_message<float>("w", ElemType::Float, {2}, {1.5F, -2}));
  g.node(node_message("Neg", {"sum"}, {"y"}));
  g.node(node_message("Add", {"x", "w"}, {"sum"}));
  return g;
}

void write_bytes(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), std::ssize(bytes));
}

Message external(std::string_view location, int64_t offset, int64_t length) {
  Message t = Message().number(1, 2).number(2, 1).text(8, "w").number(14, 1);
  t.message(13, Message().text(1, "location").text(2, location));
  t.message(13, Message().text(1, "offset").text(2, std::to_string(offset)));
  return t.message(13, Message().text(1, "length").text(2, std::to_string(length)));
}

Message external_model(const Message& tensor) {
  GraphBuilder g;
  g.output("w").initializer(tensor);
  return model_message(g.m);
}

TEST_CASE("a model is read, its nodes sorted") {
  const auto m = parse(model_message(small_graph().m));
  REQUIRE(m->graph->nodes.size() == 2);
  CHECK(m->graph->nodes[0].op == "Add");
  CHECK(m->graph->nodes[1].op == "Neg");
  CHECK(m->opsets.at("") == 21);
  CHECK(m->graph->initializers[0].second.numbers.at(1) == -2);
  CHECK(m->graph->inputs[0].type.text() == "float[?,2]");
  CHECK(required_inputs(*m->graph).size() == 1);
  CHECK(m->graph->last_use.at("y") == 2);
}

TEST_CASE("initializers in every field and element type") {
  const auto read = [](const Message& tensor) {
    GraphBuilder g;
    g.output("t").initializer(tensor);
    return parse(model_message(g.m))->graph->initializers[0].second;
  };
  const auto typed = [](ElemType type, int64_t n) {
    return Message().number(1, n).number(2, static_cast<int64_t>(type)).text(8, "t");
  };
  CHECK(read(typed(ElemType::Float, 1).f32(4, 2.5F)).numbers.at(0) == 2.5);
  CHECK(read(typed(ElemType::Int8, 2).number(5, -3).number(5, 7)).numbers.int_at(0) == -3);
  CHECK(read(typed(ElemType::Int64, 1).number(7, -9)).numbers.int_at(0) == -9);
  CHECK(read(typed(ElemType::UInt32, 1).number(11, 9)).numbers.int_at(0) == 9);
  CHECK(read(typed(ElemType::Float16, 1).number(5, 0x3c00)).numbers.at(0) == 1);
  CHECK(read(typed(ElemType::BFloat16, 1).number(5, 0x3f80)).numbers.at(0) == 1);
  CHECK(read(typed(ElemType::Bool, 2).text(9, std::string("\x00\x07", 2))).numbers.int_at(1) == 1);
  CHECK(read(typed(ElemType::String, 2).text(6, "a").text(6, "")).strings->at(0) == "a");
  const HostTensor small = read(typed(ElemType::Int4, 3).text(9, "\x9f\x07"));
  CHECK(small.numbers.int_at(0) == -1);
  CHECK(small.numbers.int_at(1) == -7);
  CHECK(small.numbers.int_at(2) == 7);
  CHECK(read(typed(ElemType::UInt2, 4).text(9, "\xe4")).numbers.int_at(3) == 3);
  CHECK(read(typed(ElemType::Float8E4M3FN, 1).text(9, "\x7e")).numbers.at(0) == 448);
  CHECK(read(typed(ElemType::Float8E5M2, 1).text(9, "\x3c")).numbers.at(0) == 1);
  CHECK(read(typed(ElemType::Float4E2M1, 2).text(9, "\xf1")).numbers.at(1) == -6);
  CHECK(read(typed(ElemType::Float8E8M0, 1).text(9, "\x80")).numbers.at(0) == 2);
}

TEST_CASE("small floats: every pattern survives a round trip, and ties go to even") {
  for (const ElemType t : {ElemType::Float8E4M3FN, ElemType::Float8E4M3FNUZ, ElemType::Float8E5M2,
                           ElemType::Float8E5M2FNUZ, ElemType::Float8E8M0, ElemType::Float4E2M1})
    for (int bits = 0; bits < 1 << info(t).bits; ++bits) {
      const float value = small_float_value(t, static_cast<uint8_t>(bits));
      CAPTURE(name(t));
      CAPTURE(bits);
      if (std::isnan(value)) {
        CHECK(std::isnan(small_float_value(t, small_float_bits(t, value))));
        continue;
      }
      CHECK(small_float_bits(t, value, {.saturate = false}) == bits);
    }
  CHECK(small_float_value(ElemType::Float8E4M3FN, small_float_bits(ElemType::Float8E4M3FN, 1000)) ==
        448);
  CHECK(std::isnan(
      small_float_value(ElemType::Float8E4M3FN,
                        small_float_bits(ElemType::Float8E4M3FN, 1000, {.saturate = false}))));
  CHECK(small_float_value(ElemType::Float4E2M1, small_float_bits(ElemType::Float4E2M1, 2.5F)) == 2);
}

TEST_CASE("names: cycles, twice defined, defined nowhere, nested graphs") {
  GraphBuilder cycle;
  cycle.output("a").node(node_message("Neg", {"b"}, {"a"})).node(node_message("Abs", {"a"}, {"b"}));
  expect_error([&] { parse(model_message(cycle.m)); }, {"test.onnx", "the_Neg", "cycle"});

  GraphBuilder twice = small_graph();
  twice.node(node_message("Abs", {"x"}, {"sum"}));
  expect_error([&] { parse(model_message(twice.m)); }, {"'sum' is defined twice"});

  GraphBuilder nowhere;
  nowhere.output("y").node(node_message("Neg", {"ghost"}, {"y"}));
  expect_error([&] { parse(model_message(nowhere.m)); }, {"the_Neg", "'ghost'", "nothing defines"});

  GraphBuilder branch("then"), outer;
  branch.output("z").node(node_message("Neg", {"x"}, {"z"}));
  outer.input("x", ElemType::Float, {1}).input("c", ElemType::Bool, {}).output("y");
  outer.node(node_message(
      "If", {"c"}, {"y"},
      {graph_attribute("then_branch", branch.m), graph_attribute("else_branch", branch.m)}));
  const auto m = parse(model_message(outer.m));
  CHECK(m->graph->nodes[0].attributes[0].graph->captures == std::vector<std::string>{"x"});
}

TEST_CASE("external data lies in the model's folder") {
  const testing::ScratchFolder folder;
  const std::vector<float> values = {1, 2, 3, 4};
  write_bytes(folder.path("w.bin"), {reinterpret_cast<const char*>(values.data()), 16});
  std::filesystem::create_directory(folder.path("inner"));
  std::filesystem::create_symlink("../w.bin", folder.path("inner/link.bin"));
  const std::string inside = folder.path(), inner = folder.path("inner");
  const auto read = [](const std::string& where, const Message& t) {
    return parse(external_model(t).data(), where)->graph->initializers[0].second.numbers;
  };
  CHECK(read(inside, external("w.bin", 8, 8)).at(0) == 3);
  CHECK(read(inside, external("inner/link.bin", 0, 8)).at(0) == 1);
  expect_error([&] { read(inside, external("w.bin", 12, 8)); }, {"'w'", "outside", "16 bytes"});
  expect_error([&] { read(inside, external("w.bin", 0, 16)); }, {"16 bytes of data", "float[2]"});
  expect_error([&] { read(inner, external("../w.bin", 0, 8)); }, {"outside the model's folder"});
  expect_error([&] { read(inner, external("link.bin", 0, 8)); }, {"outside the model's folder"});
  expect_error([&] { read(inside, external("/etc/passwd", 0, 8)); }, {"not a path inside"});
  expect_error([&] { read(inside, external("missing", 0, 8)); }, {"cannot find"});
  expect_error([&] { read("", external("w.bin", 0, 8)); }, {"not allowed here"});
}

TEST_CASE("hostile tensors") {
  const auto refuse = [](const Message& tensor, std::initializer_list<std::string_view> words) {
    GraphBuilder g;
    g.output("t").initializer(tensor);
    expect_error([&] { parse(model_message(g.m)); }, words);
  };
  const auto tensor = [](const Dims& dims) {
    Message m;
    for (const int64_t d : dims) m.number(1, d);
    return m.number(2, 1).text(8, "t");
  };
  refuse(tensor({-1}), {"'t'", "dim -1"});
  refuse(tensor({int64_t{1} << 40, int64_t{1} << 40}).text(9, "1234"), {"'t'", "too large"});
  refuse(tensor({int64_t{1} << 40}).text(9, "1234"), {"'t'", "4 bytes"});
  refuse(Message().number(1, 1).number(2, 99).text(8, "t"), {"unknown element type 99"});
  refuse(tensor({2}), {"0 bytes"});
}

TEST_CASE("graphs nested without end, and opsets of the future") {
  Message graph = GraphBuilder().m;
  for (int i = 0; i < 60; ++i) {
    GraphBuilder outer;
    outer.node(node_message("If", {}, {}, {graph_attribute("then_branch", graph)}));
    graph = outer.m;
  }
  expect_error([&] { parse(model_message(graph)); }, {"nested"});
  expect_error([&] { parse(model_message(small_graph().m, 99)); }, {"opset 99"},
               ErrorKind::Unsupported);
}

TEST_CASE("no prefix and no flipped byte of a model does harm") {
  const std::string good = model_message(small_graph().m).data();
  for (size_t n = 0; n < good.size(); ++n) accepts([&] { parse(good.substr(0, n)); });
  for (size_t i = 0; i < good.size(); ++i)
    for (const int flip : {0x01, 0x08, 0x80, 0xff}) {
      std::string bad = good;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      accepts([&] { parse(bad); });
    }
}

TEST_CASE("casts of contents") {
  const HostTensor x(Tensor::from<float>({3}, {1.5F, -2, 300}));
  CHECK(convert(x, ElemType::String).strings->at(0) == "1.5");
  CHECK(convert(x, ElemType::Int4).numbers.int_at(1) == -2);
  CHECK(convert(HostTensor({2}, {"3", "-1e2"}), ElemType::Float).numbers.at(1) == -100);
  expect_error([] { convert(HostTensor({1}, {"cat"}), ElemType::Float); }, {"'cat'"});
}

}  // namespace
}  // namespace lathe::onnx
