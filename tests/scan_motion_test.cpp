// Work that leaves scans: values stay, carries and repeated nodes go.
#include "passes/scan_motion.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "ir/eval.h"
#include "ir/graph_text.h"
#include "ir/graph_verify.h"
#include "ir/op.h"
#include "passes/autodiff.h"
#include "passes/rebuild.h"
#include "passes/rules.h"
#include "tests/support/op_cases.h"

namespace lathe {
namespace {

Graph with_gradient(Graph g) {
  std::vector<int> wrt;
  for (size_t i = 0; i < g.inputs().size(); ++i)
    if (is_float(g.inputs()[i].type.dtype)) wrt.push_back(static_cast<int>(i));
  Expr loss;
  for (const GraphOutput& out : g.outputs()) {
    const Expr e{&g, out.value};
    if (!is_float(e.dtype())) continue;
    Dims axes;
    for (int a = 0; a < e.rank(); ++a) axes.push_back(a);
    const Expr term = reduce_sum(e * e, axes);
    loss = loss.defined() ? loss + term : term;
  }
  if (!loss.defined()) return g;  // integers have no gradient
  g.add_output("loss", loss.value);
  return gradient_graph(g, static_cast<int>(g.outputs().size()) - 1, wrt);
}

std::vector<const Node*> scans(const Graph& g) {
  std::vector<const Node*> out;
  for (const Node& n : g.nodes())
    if (n.op == OpId::scan) out.push_back(&n);
  return out;
}

int count(const Graph& g, OpId op) {
  int n = 0;
  for (const Node& node : g.nodes()) n += node.op == op;
  return n;
}

void check_same_values(const Graph& a, const Graph& b, const std::vector<Tensor>& inputs) {
  std::vector<EvalTensor> given;
  for (const Tensor& t : inputs) given.emplace_back(t);
  const auto x = evaluate(a, given), y = evaluate(b, given);
  REQUIRE(x.size() == y.size());
  for (size_t k = 0; k < x.size(); ++k) {
    REQUIRE(x[k].dims == y[k].dims);
    CHECK(x[k].i == y[k].i);
    for (size_t i = 0; i < x[k].f.size(); ++i)
      CHECK(std::fabs(x[k].f[i] - y[k].f[i]) <= 1e-9 * (1 + std::fabs(x[k].f[i])));
  }
}

const OpCase& find_case(std::string_view name) {
  const auto found = std::ranges::find(op_cases(), name, &OpCase::name);
  REQUIRE(found != op_cases().end());
  return *found;
}

Graph parsed(std::string_view text) { return parse_graph(text).value(); }

}  // namespace

TEST_CASE("scans and their gradients keep their values") {
  int checked = 0;
  for (const OpCase& c : op_cases()) {
    const Graph plain = build_case(c);
    if (scans(plain).empty()) continue;
    CAPTURE(c.name);
    const Graph g = simplify(with_gradient(plain));
    const Graph after = move_out_of_scans(g);
    const Result<bool> verified = verify_graph(after);
    CHECK_MESSAGE(verified, verified.error());
    check_same_values(g, after, sample_inputs(plain, c));
    CHECK(print_graph(move_out_of_scans(after)) == print_graph(Rebuilder::run(after)));
    ++checked;
  }
  CHECK(checked >= 8);
}

TEST_CASE("the weights' gradients of a recurrent layer are summed after the loop") {
  for (const char* name : {"scan/rnn", "scan/rnn_reverse", "scan/symbolic_length"}) {
    CAPTURE(name);
    const Graph g = simplify(with_gradient(build_case(find_case(name))));
    const Graph after = move_out_of_scans(g);
    const auto before_scans = scans(g), after_scans = scans(after);
    REQUIRE(before_scans.size() == 2);
    REQUIRE(after_scans.size() == 2);
    // The cotangents of h, W, U and b; only that of h is carried in the end.
    CHECK(std::get<ScanAttrs>(before_scans[1]->attrs).carries == 4);
    CHECK(std::get<ScanAttrs>(after_scans[1]->attrs).carries == 1);
    CHECK(count(after, OpId::dot_general) == 2);
    for (const Node* n : after_scans) CHECK(count(*n->regions[0], OpId::transpose) == 0);
  }
}

TEST_CASE("what depends on constants only is computed once, before the loop") {
  const Graph g = parsed(
      "graph @f(%h: f32[3], %x: f32[4,3], %w: f32[3]) -> f32[4,3] {\n"
      "  %0 = scan %h, %x, %w {carries=1, scanned=1, length=4, reverse=false} : (f32[3], "
      "f32[4,3])\n"
      "    graph @step(%h: f32[3], %x: f32[3], %w: f32[3]) -> (f32[3], f32[3]) {\n"
      "      %0 = exp %w : f32[3]\n"
      "      %1 = tanh %0 : f32[3]\n"
      "      %2 = mul %x, %1 : f32[3]\n"
      "      %3 = mul %h, %0 : f32[3]\n"
      "      return %3, %2\n"
      "    }\n"
      "  return %0#1\n"
      "}\n");
  const Graph after = move_out_of_scans(g);
  CHECK(count(after, OpId::exp) == 1);
  CHECK(count(after, OpId::tanh) == 1);
  const Graph& body = *scans(after)[0]->regions[0];
  CHECK(count(body, OpId::exp) == 0);
  CHECK(count(body, OpId::mul) == 2);
  check_same_values(g, after,
                    {Tensor::from<float>({3}, {1, 2, 3}),
                     Tensor::from<float>({4, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}),
                     Tensor::from<float>({3}, {0.5f, -1, 2})});
}

TEST_CASE("a carry that is read, or starts at another number, stays") {
  const auto graph = [](std::string_view start, std::string_view output) {
    return parsed(fmt::format(
        "graph @f(%x: f32[4,2,3]) -> (f32[3,3], f32[4,3,3]) {{\n"
        "  %0 = constant {{value=f32[]({})}} : f32[]\n"
        "  %1 = broadcast %0 {{shape=[3,3], axes=[]}} : f32[3,3]\n"
        "  %2 = scan %1, %x {{carries=1, scanned=1, length=4, reverse=true}} : (f32[3,3], "
        "f32[4,3,3])\n"
        "    graph @step(%sum: f32[3,3], %x: f32[2,3]) -> (f32[3,3], f32[3,3]) {{\n"
        "      %dot = dot_general %x, %x {{lhs_batch=[], rhs_batch=[], lhs_contract=[0], "
        "rhs_contract=[0], dtype=f32}} : f32[3,3]\n"
        "      %next = add %sum, %dot : f32[3,3]\n"
        "      return %next, %{}\n"
        "    }}\n"
        "  return %2#0, %2#1\n"
        "}}\n",
        start, output));
  };
  const auto carries = [](const Graph& g) {
    const Graph after = move_out_of_scans(g);
    return std::get<ScanAttrs>(scans(after)[0]->attrs).carries;
  };
  CHECK(carries(graph("0", "dot")) == 0);
  CHECK(carries(graph("1", "dot")) == 1);
  CHECK(carries(graph("0", "sum")) == 1);
  CHECK(carries(graph("0", "next")) == 1);
  const Graph g = graph("0", "dot");
  std::vector<float> x(24);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i) - 11;
  check_same_values(g, move_out_of_scans(g), {Tensor::from<float>({4, 2, 3}, x)});
}

}  // namespace lathe
