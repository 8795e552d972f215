// The text form of graphs: round trips, errors with their place, hostile text.
#include "ir/graph_text.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>

#include "ir/eval.h"
#include "ir/graph_verify.h"
#include "passes/autodiff.h"
#include "tests/support/op_cases.h"
#include "tests/support/paths.h"
#include "tests/support/random.h"

namespace lathe {
namespace {

constexpr std::string_view kSmall =
    "graph @f(%x: f32[4,8], %w: f32[8,4] parameter) -> f32[4,4] {\n"
    "  %0 = transpose %w {perm=[1,0]} : f32[4,8] \"/layer/w:0\"\n"
    "  %1 = mul %x, %0 : f32[4,8]\n"
    "  %2 = constant {value=f32[4,4](0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)} : "
    "f32[4,4]\n"
    "  return %2 \"y\"\n"
    "}\n";

Graph parsed(std::string_view text) { return parse_graph(text).value(); }

std::string refusal(std::string_view text) {
  const Result<Graph> g = parse_graph(text);
  REQUIRE(!g);
  return g.error();
}

// The sum of the squares of all float outputs, differentiated by all float inputs.
std::optional<Graph> gradient(const OpCase& c) {
  Graph g = build_case(c);
  std::vector<int> wrt;
  for (size_t i = 0; i < g.inputs().size(); ++i)
    if (is_float(g.inputs()[i].type.dtype)) wrt.push_back(static_cast<int>(i));
  Expr loss;
  for (const GraphOutput& out : g.outputs()) {
    const Expr e{&g, out.value};
    if (!is_float(e.dtype())) continue;
    Dims axes;
    for (int a = 0; a < e.rank(); ++a) axes.push_back(a);
    const Expr term = cast(reduce_sum(e * e, axes), DType::f32);
    loss = loss.defined() ? loss + term : term;
  }
  if (!c.differentiable || wrt.empty() || !loss.defined()) return std::nullopt;
  g.set_outputs({{"loss", loss.value, -1}});
  return gradient_graph(g, 0, wrt);
}

void check_round_trip(const Graph& g) {
  const std::string text = print_graph(g);
  CAPTURE(text);
  const Result<Graph> back = parse_graph(text);
  REQUIRE_MESSAGE(back, back.error());
  CHECK(print_graph(*back) == text);
  const Result<bool> verified = verify_graph(*back);
  CHECK_MESSAGE(verified, verified.error());
}

}  // namespace

TEST_CASE("every case of the table and its gradient reads back as it was printed") {
  int gradients = 0;
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    check_round_trip(build_case(c));
    check_round_trip(build_case(c, Dim::symbol("n")));
    if (const std::optional<Graph> g = gradient(c)) {
      check_round_trip(*g);
      ++gradients;
    }
  }
  CHECK(gradients > 20);
}

TEST_CASE("a graph read back computes the same bits") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
    const Graph g = build_case(c);
    const Graph back = parsed(print_graph(g));
    const std::vector<Tensor> given = sample_inputs(g, c);
    const auto a = evaluate(g, given), b = evaluate(back, given);
    REQUIRE(a.size() == b.size());
    for (size_t k = 0; k < a.size(); ++k) CHECK(identical(a[k], b[k]));
  }
}

TEST_CASE("the text is the documented one") { CHECK(print_graph(parsed(kSmall)) == kSmall); }

TEST_CASE("the example of ir/README.md reads") {
  std::ifstream file(testing::source_path("ir/README.md"));
  const std::string readme{std::istreambuf_iterator<char>(file), {}};
  const size_t begin = readme.find("graph @main(");
  REQUIRE(begin != std::string::npos);
  const std::string example = readme.substr(begin, readme.find("```", begin) - begin);
  CHECK(print_graph(parsed(example)) == example);
}

TEST_CASE("names, roles and updates survive") {
  Graph g("a graph");
  const TensorType type{DType::f32, {Dim::symbol("batch"), 3}};
  const Value x = g.add_input("/in:0", type);
  const Value w = g.add_input("twice", type, InputRole::Parameter);
  const Value s = g.add_input("twice", type, InputRole::State);
  const Value e = g.add_input("", type);
  const Value sum = g.add(OpId::add, {s, e}, NoAttrs{}, {}, "a \"quoted\\\n name");
  g.add_output("loss", g.add(OpId::add, {x, w}));
  g.add_output("", sum, 2);
  const Graph back = parsed(print_graph(g));
  CHECK(print_graph(back) == print_graph(g));
  CHECK(back.name() == "a graph");
  REQUIRE(back.inputs().size() == 4);
  for (size_t i = 0; i < 4; ++i) {
    CHECK(back.inputs()[i].name == g.inputs()[i].name);
    CHECK(back.inputs()[i].role == g.inputs()[i].role);
    CHECK(back.inputs()[i].type == type);
  }
  CHECK(back.outputs()[1].updates == 2);
  CHECK(back.node(back.outputs()[1].value).name == "a \"quoted\\\n name");
}

TEST_CASE("inputs that come after other nodes move to the front") {
  Graph g;
  const Expr c = constant(g, Tensor::scalar(2.f));
  const Expr x = input(g, "x", {DType::f32, {}});
  g.add_output("y", (c * x).value);
  check_round_trip(g);
}

TEST_CASE("constants of every type read back exactly, small and large") {
  Random random(3);
  for (int d = 0; d < kDTypeCount; ++d)
    for (const int64_t size : {0, 1, 7, 64, 65, 200}) {
      const auto dtype = static_cast<DType>(d);
      Tensor t = Tensor::empty(dtype, {size});
      auto* bytes = static_cast<unsigned char*>(t.mutable_raw());
      for (int64_t i = 0; i < t.bytes(); ++i)
        bytes[i] = static_cast<unsigned char>(random.below(dtype == DType::boolean ? 2 : 256));
      Graph g;
      g.add_output("c", constant(g, t).value);
      const std::string text = print_graph(g);
      CAPTURE(text);
      const Result<Graph> back = parse_graph(text);
      REQUIRE_MESSAGE(back, back.error());
      CHECK(
          identical(std::get<ConstantAttrs>(back->node(back->outputs()[0].value).attrs).value, t));
      CHECK(print_graph(*back) == text);
    }
}

TEST_CASE("elided constants are shown as dots and refused when read") {
  Graph g;
  g.add_output("c", constant(g, Tensor::zeros(DType::f32, {100})).value);
  const std::string text = print_graph(g, {.elide_constants = true});
  CHECK(text.find("f32[100](...)") != std::string::npos);
  CHECK(refusal(text).find("left out") != std::string::npos);
}

TEST_CASE("errors name the place and what was expected") {
  CHECK(refusal("") == "1:1: expected 'graph', found the end");
  CHECK(refusal("graph @f() -> f32[] {\n  %0 = nix : f32[]\n") ==
        "2:8: expected an op, found 'nix'");
  CHECK(refusal("graph @f(%x: f32[2]) -> f32[2] {\n  return %y\n}") == "2:11: %y is not defined");
  CHECK(refusal("graph @f(%x: f32[2]) -> f32[3] {\n  return %x\n}") ==
        "1:25: the type is (f32[2])");
  CHECK(refusal("graph @f(%x: f32[2]) -> f32[2] {\n  %0 = neg %x : f32[3]\n  return %0\n}") ==
        "2:17: the type is (f32[2])");
  CHECK(refusal("graph @f(%x: f32[2], %x: f32[2]) -> () { return }") ==
        "1:23: %x is defined twice");
  CHECK(refusal("graph @f(%x: f32[2]) -> f32[2] {\n  %0 = add %x : f32[2]\n  return %0\n}") ==
        "2:8: add: 1 operands given, 2 expected");
  CHECK(refusal("graph @f(%x: f32[1+]) -> () { return }") ==
        "1:18: expected a dimension such as 3, batch or 2*length+1, found '1'");
  CHECK(refusal("graph @f() -> u8[] { %0 = constant {value=u8[](300)} : u8[]").find("u8") !=
        std::string::npos);
}

TEST_CASE("deep nesting and products of sums are refused, not followed") {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "graph @g() -> () { %0 = composite {name=\"c\"} : () ";
  CHECK(refusal(deep).find("nested") != std::string::npos);
  std::string sums = "graph @f(%x: f32[1]) -> () { %0 = reshape %x {shape=[";
  for (int i = 0; i < 30; ++i) sums += fmt::format("{}a{}+b{}", i == 0 ? "" : ",", i, i);
  CHECK(refusal(sums + "]} : f32[1] return }").find("terms") != std::string::npos);
  CHECK(refusal("graph @f(%x: f32[(a+b)*(c+d)]) -> () { return }").find("dimension") !=
        std::string::npos);
  CHECK(refusal("graph @f() -> f32[] { %0 = constant {value=f32[70368744177664](1)} : f32[1]")
            .find("values") != std::string::npos);
}

TEST_CASE("mutated text is read or refused, and what is read verifies") {
  std::vector<std::string> seeds;
  for (const OpCase& c : op_cases()) seeds.push_back(print_graph(build_case(c)));
  const std::vector<std::string> pieces = {"%",
                                           "#",
                                           "0",
                                           "-1",
                                           "9223372036854775807",
                                           "{",
                                           "}",
                                           "[",
                                           "]",
                                           "(",
                                           ")",
                                           ",",
                                           "graph",
                                           "f32",
                                           "i8",
                                           "n",
                                           "*",
                                           "hex",
                                           "\"",
                                           "\\",
                                           "floordiv(n,2)",
                                           "=",
                                           "nan",
                                           "1e9",
                                           "return",
                                           "updates",
                                           "\n",
                                           "\xff"};
  Random random(11);
  int read = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = random.pick(seeds);
    for (int64_t k = random.between(1, 3); k > 0; --k) {
      const auto at = static_cast<size_t>(random.below(std::ssize(text)));
      const auto length = static_cast<size_t>(random.below(4));
      text.replace(at, std::min(length, text.size() - at),
                   random.percent(30) ? "" : random.pick(pieces));
    }
    const Result<Graph> g = parse_graph(text);
    if (!g) {
      CHECK(g.error().find(':') != std::string::npos);
      continue;
    }
    ++read;
    const Result<bool> verified = verify_graph(*g);
    CHECK_MESSAGE(verified, text, verified.error());
    const std::string printed = print_graph(*g);
    CHECK(print_graph(parsed(printed)) == printed);
  }
  CHECK(read > 100);
}

TEST_CASE("verification shows the neighbourhood of what is wrong") {
  Graph g("f");
  const Expr x = input(g, "x", {DType::f32, {2}}), y = input(g, "y", {DType::f32, {3}});
  const Expr z = neg(exp(x));
  CHECK(verify_graph(g));
  g.set_outputs({{"z", z.value, 1}});
  const Result<bool> type = verify_graph(g);
  REQUIRE(!type);
  CHECK(type.error().find("output 'z' of type f32[2] updates input 'y' of type f32[3]") !=
        std::string::npos);
  CHECK(type.error().find(">   %1 = neg %0 : f32[2]") != std::string::npos);
  g.set_outputs({{"x", x.value, 0}, {"z", z.value, 0}});
  CHECK(!verify_graph(g));
  g.set_outputs({{"far", {99, 0}, -1}});
  CHECK(!verify_graph(g));
  g.set_outputs({{"y", y.value, 1}, {"z", z.value, 0}});
  CHECK(verify_graph(g));
}

}  // namespace lathe
