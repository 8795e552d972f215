// Every rule alone: it fires on its pattern, and both sides agree on random shapes and values,
// special ones among them.
#include "passes/rules.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ir/eval.h"
#include "ir/graph_text.h"
#include "ir/graph_verify.h"
#include "passes/autodiff.h"
#include "passes/fold.h"
#include "passes/pipeline.h"
#include "passes/rebuild.h"
#include "tests/support/op_cases.h"
#include "tests/support/random.h"

namespace lathe {
namespace {

struct Pattern {
  std::string_view rule;
  std::string_view text;  // dims n and m are bound to random numbers
};

constexpr std::string_view kOne = "%1 = constant {value=f32[](1)} : f32[] ";
constexpr std::string_view kWide = "%2 = broadcast %1 {shape=[n,m], axes=[]} : f32[n,m] ";

// Bodies of graphs of %x, %y: f32[n,m], %i: i32[n,m], %b: bool[n,m], %u: f32[2,3,4],
// %h: f16[n,m].
const Pattern kPatterns[] = {
    {"neg-neg", "%0 = neg %x : f32[n,m] %1 = neg %0 : f32[n,m] return %1"},
    {"neg-neg", "%0 = neg %i : i32[n,m] %1 = neg %0 : i32[n,m] return %1"},
    {"stop-gradient", "%0 = stop_gradient %x : f32[n,m] %1 = add %0, %y : f32[n,m] return %1"},
    {"stop-gradient", "%0 = stop_gradient %b : bool[n,m] return %0"},
    {"abs-neg", "%0 = neg %x : f32[n,m] %1 = abs %0 : f32[n,m] return %1, %0"},
    {"not-not", "%0 = logical_not %b : bool[n,m] %1 = logical_not %0 : bool[n,m] return %1"},
    {"add-zero",
     "%1 = constant {value=f32[](-0)} : f32[] %2 = broadcast %1 {shape=[n,m], axes=[]} : f32[n,m] "
     "%3 = add %x, %2 : f32[n,m] return %3"},
    {"add-zero",
     "%1 = constant {value=i32[](0)} : i32[] %2 = broadcast %1 {shape=[n,m], axes=[]} : i32[n,m] "
     "%3 = add %2, %i : i32[n,m] return %3"},
    {"sub-zero",
     "%1 = constant {value=f32[](0)} : f32[] %2 = broadcast %1 {shape=[n,m], axes=[]} : f32[n,m] "
     "%3 = sub %x, %2 : f32[n,m] return %3"},
    {"mul-one", "ONE %3 = mul %x, %2 : f32[n,m] return %3"},
    {"mul-zero",
     "%1 = constant {value=i32[](0)} : i32[] %2 = broadcast %1 {shape=[n,m], axes=[]} : i32[n,m] "
     "%3 = mul %2, %i : i32[n,m] return %3"},
    {"div-one", "ONE %3 = div %x, %2 : f32[n,m] return %3"},
    {"pow-one", "ONE %3 = pow %x, %2 : f32[n,m] return %3"},
    {"max-same", "%0 = max %x, %x : f32[n,m] return %0"},
    {"min-same", "%0 = min %x, %x : f32[n,m] return %0"},
    {"and-same", "%0 = bit_and %i, %i : i32[n,m] return %0"},
    {"or-same", "%0 = bit_or %b, %b : bool[n,m] return %0"},
    {"select-same", "%0 = select %b, %x, %x : f32[n,m] return %0"},
    {"select-constant",
     "%0 = constant {value=bool[](1)} : bool[] %1 = broadcast %0 {shape=[n,m], axes=[]} : "
     "bool[n,m] %2 = select %1, %x, %y : f32[n,m] return %2"},
    {"cast-identity", "%0 = cast %x {dtype=f32} : f32[n,m] return %0"},
    {"cast-cast",
     "%0 = cast %h {dtype=f32} : f32[n,m] %1 = cast %0 {dtype=i8} : i8[n,m] return %1"},
    {"cast-cast",
     "%0 = cast %i {dtype=i64} : i64[n,m] %1 = cast %0 {dtype=f32} : f32[n,m] return %1"},
    {"cast-cast",
     "%0 = cast %b {dtype=u8} : u8[n,m] %1 = cast %0 {dtype=bool} : bool[n,m] return %1"},
    {"dot-of-widened",
     "%0 = cast %h {dtype=bf16} : bf16[n,m] %1 = cast %0 {dtype=f32} : f32[n,m] "
     "%2 = dot_general %1, %1 {lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[1], "
     "dtype=f32} : f32[n,n] return %2"},
    {"bitcast-bitcast",
     "%0 = bitcast %i {dtype=u32} : u32[n,m] %1 = bitcast %0 {dtype=f32} : f32[n,m] return %1"},
    {"elementwise-of-splats", "ONE %3 = exp %2 : f32[n,m] %4 = add %x, %3 : f32[n,m] return %4"},
    {"elementwise-of-splats", "ONE %3 = sub %2, %2 : f32[n,m] return %3, %2"},
    {"reduce-nothing", "%0 = reduce_max %x {axes=[]} : f32[n,m] return %0"},
    {"reduce-nothing", "%0 = reduce_prod %x {axes=[]} : f32[n,m] return %0"},
    {"reduce-nothing", "%0 = reduce_sum %i {axes=[]} : i32[n,m] return %0"},
    {"reduce-reduce",
     "%0 = reduce_sum %i {axes=[0]} : i32[m] %1 = reduce_sum %0 {axes=[0]} : i32[] return %1, %0"},
    {"reduce-reduce",
     "%0 = reduce_min %i {axes=[1]} : i32[n] %1 = reduce_min %0 {axes=[0]} : i32[] return %1"},
    {"transpose-identity", "%0 = transpose %u {perm=[0,1,2]} : f32[2,3,4] return %0"},
    {"transpose-transpose",
     "%0 = transpose %u {perm=[1,2,0]} : f32[3,4,2] %1 = transpose %0 {perm=[1,0,2]} : f32[4,3,2] "
     "return %1, %0"},
    {"reshape-identity", "%0 = reshape %x {shape=[n,m]} : f32[n,m] return %0"},
    {"reshape-reshape",
     "%0 = reshape %x {shape=[n*m]} : f32[m*n] %1 = reshape %0 {shape=[m,n]} : f32[m,n] return %1"},
    {"broadcast-identity", "%0 = broadcast %x {shape=[n,m], axes=[0,1]} : f32[n,m] return %0"},
    {"broadcast-broadcast",
     "%0 = reduce_sum %x {axes=[0]} : f32[m] %1 = broadcast %0 {shape=[1,m], axes=[1]} : f32[1,m] "
     "%2 = broadcast %1 {shape=[n,5,m], axes=[0,2]} : f32[n,5,m] return %2"},
    {"slice-full", "%0 = slice %x {start=[0,0], size=[n,m], stride=[1,1]} : f32[n,m] return %0"},
    {"slice-slice",
     "%0 = slice %u {start=[0,2,1], size=[2,2,3], stride=[1,-2,1]} : f32[2,2,3] %1 = slice %0 "
     "{start=[1,1,0], size=[1,2,2], stride=[1,-1,2]} : f32[1,2,2] return %1, %0"},
    {"pad-nothing",
     "%0 = constant {value=f32[](7)} : f32[] %1 = pad %x, %0 {low=[0,0], high=[0,0], "
     "interior=[0,0]} : f32[n,m] return %1"},
    {"concat-one", "%0 = concat %x {axis=1} : f32[n,m] return %0"},
    {"concat-empty",
     "%0 = slice %x {start=[0,0], size=[0,m], stride=[1,1]} : f32[0,m] %1 = concat %y, %0, %x "
     "{axis=0} : f32[2*n,m] return %1, %0"},
    {"view-of-splat", "ONE %3 = transpose %2 {perm=[1,0]} : f32[m,n] return %3"},
    {"view-of-splat", "ONE %3 = reshape %2 {shape=[n*m]} : f32[n*m] return %3, %2"},
    {"view-of-splat",
     "ONE %3 = slice %2 {start=[0,0], size=[n,0], stride=[1,1]} : f32[n,0] return %3"},
    {"view-of-splat",
     "ONE %3 = pad %2, %1 {low=[1,n], high=[0,2], interior=[0,0]} : f32[n+1,m+n+2] return %3"},
    {"add-bands",
     "%0 = constant {value=f32[](0)} : f32[] "
     "%1 = slice %u {start=[0,0,0], size=[2,1,4], stride=[1,1,1]} : f32[2,1,4] "
     "%2 = slice %u {start=[0,1,0], size=[2,2,4], stride=[1,1,1]} : f32[2,2,4] "
     "%3 = pad %1, %0 {low=[0,2,0], high=[0,4,0], interior=[0,0,0]} : f32[2,7,4] "
     "%4 = pad %2, %0 {low=[0,3,0], high=[0,2,0], interior=[0,0,0]} : f32[2,7,4] "
     "%5 = pad %1, %0 {low=[0,1,0], high=[0,5,0], interior=[0,0,0]} : f32[2,7,4] "
     "%6 = add %5, %4 : f32[2,7,4] %7 = add %6, %3 : f32[2,7,4] return %7"},
    {"fold-disjoint",
     "%1 = slice %u {start=[0,0,0], size=[2,2,4], stride=[1,1,1]} : f32[2,2,4] "
     "%2 = reshape %1 {shape=[2,2,2,2]} : f32[2,2,2,2] "
     "%3 = fold %2 {kernel=[2,2], stride=[2,2], dilation=[1,1], low=[0,0], high=[0,0], fill=0, "
     "size=[4,4]} : f32[4,4] return %3"},
    {"mul-zero-float",
     "%1 = constant {value=f32[](0)} : f32[] %2 = broadcast %1 {shape=[n,m], axes=[]} : f32[n,m] "
     "%3 = mul %x, %2 : f32[n,m] return %3"},
};

constexpr std::string_view kInputs =
    "%x: f32[n,m], %y: f32[n,m], %i: i32[n,m], %b: bool[n,m], %u: f32[2,3,4], %h: f16[n,m]";

// The types of a graph's results stand in its header; here they are found from the refusal of a
// wrong header.
Graph parse_pattern(std::string_view body) {
  std::string text(body);
  if (const size_t at = text.find("ONE"); at != std::string::npos)
    text.replace(at, 3, std::string(kOne) + std::string(kWide));
  const auto whole = [&](std::string_view types) {
    return fmt::format("graph @p({}) -> {} {{ {} }}", kInputs, types, text);
  };
  const Result<Graph> first = parse_graph(whole("()"));
  REQUIRE(!first);
  const size_t at = first.error().find("the type is ");
  REQUIRE_MESSAGE(at != std::string::npos, first.error());
  return parse_graph(whole(first.error().substr(at + 12))).value();
}

Tensor random_tensor(const TensorType& type, Random& random) {
  Tensor t = Tensor::empty(type.dtype, type.shape.static_dims());
  const std::vector<double> special = {0.0,
                                       -0.0,
                                       1,
                                       std::numeric_limits<double>::infinity(),
                                       -std::numeric_limits<double>::infinity(),
                                       std::nan("")};
  for (int64_t i = 0; i < t.size(); ++i) {
    if (!is_float(type.dtype)) t.set_int(i, static_cast<int64_t>(random.next()));
    else t.set(i, random.percent(40) ? random.pick(special) : random.uniform(-300, 300));
  }
  return t;
}

bool agree(const Tensor& a, const Tensor& b, Exactness exactness) {
  if (a.dtype() != b.dtype() || a.dims() != b.dims()) return false;
  for (int64_t i = 0; i < a.size(); ++i) {
    if (!is_float(a.dtype())) {
      if (a.int_at(i) != b.int_at(i)) return false;
      continue;
    }
    const double x = a.at(i), y = b.at(i);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x != y) return false;
    if (exactness == Exactness::Bits && std::signbit(x) != std::signbit(y)) return false;
  }
  return true;
}

std::vector<Rule> all_rules() {
  std::vector<Rule> out(arithmetic_rules().begin(), arithmetic_rules().end());
  out.insert(out.end(), view_rules().begin(), view_rules().end());
  return out;
}

void check_rule(const Rule& rule, const Graph& pattern, Random& random) {
  RuleCounts fired;
  const Graph after = apply_rules(pattern, {&rule, 1}, &fired);
  CHECK(fired[rule.name] > 0);
  CHECK(measure(after) < measure(pattern));
  const Result<bool> verified = verify_graph(after);
  CHECK_MESSAGE(verified, verified.error());
  if (rule.exactness == Exactness::Approximate) return;
  for (int round = 0; round < 8; ++round) {
    const DimBinding dims{{"n", random.below(5)}, {"m", random.below(5)}};
    const Graph left = bind_dims(pattern, dims), right = bind_dims(after, dims);
    std::vector<Tensor> inputs;
    for (const GraphInput& in : left.inputs()) inputs.push_back(random_tensor(in.type, random));
    const auto a = evaluate(left, inputs), b = evaluate(right, inputs);
    for (size_t k = 0; k < a.size(); ++k) CHECK(agree(a[k], b[k], rule.exactness));
  }
}

}  // namespace

TEST_CASE("every rule fires on its pattern, and both sides agree") {
  Random random(5);
  for (const Rule& rule : all_rules()) {
    CAPTURE(rule.name);
    int patterns = 0;
    for (const Pattern& p : kPatterns) {
      if (p.rule != rule.name) continue;
      CAPTURE(p.text);
      check_rule(rule, parse_pattern(p.text), random);
      ++patterns;
    }
    CHECK(patterns > 0);
  }
}

TEST_CASE("what is not exact does not fire") {
  const std::string_view bodies[] = {
      // x + 0 turns -0 into +0, and x - -0 does too
      "%1 = constant {value=f32[](0)} : f32[] %2 = broadcast %1 {shape=[n,m], axes=[]} : f32[n,m] "
      "%3 = add %x, %2 : f32[n,m] return %3",
      "%1 = constant {value=f32[](-0)} : f32[] %2 = broadcast %1 {shape=[n,m], axes=[]} : f32[n,m] "
      "%3 = sub %x, %2 : f32[n,m] return %3",
      // NaN and infinities
      "%1 = constant {value=f32[](0)} : f32[] %2 = broadcast %1 {shape=[n,m], axes=[]} : f32[n,m] "
      "%3 = mul %x, %2 : f32[n,m] return %3",
      "%0 = sub %x, %x : f32[n,m] return %0",
      "%0 = reduce_sum %x {axes=[]} : f32[n,m] return %0",
      // f32 to i32 saturates, i32 to i8 wraps; f16 cannot hold every f32
      "%0 = cast %x {dtype=i32} : i32[n,m] %1 = cast %0 {dtype=i8} : i8[n,m] return %1",
      "%0 = cast %i {dtype=f64} : f64[n,m] %1 = cast %0 {dtype=i8} : i8[n,m] return %1",
      "%0 = cast %x {dtype=f16} : f16[n,m] %1 = cast %0 {dtype=f32} : f32[n,m] return %1",
      // one cannot tell here whether the bands touch
      "%0 = constant {value=f32[](0)} : f32[] "
      "%1 = pad %x, %0 {low=[0,0], high=[m,0], interior=[0,0]} : f32[m+n,m] "
      "%2 = pad %y, %0 {low=[m,0], high=[0,0], interior=[0,0]} : f32[m+n,m] "
      "%3 = add %1, %2 : f32[m+n,m] return %3",
  };
  for (const std::string_view body : bodies) {
    CAPTURE(body);
    const Graph g = parse_pattern(body);
    const Graph after = simplify(g);
    CHECK(measure(after) == measure(g));
    CHECK(print_graph(after) == print_graph(g));
  }
}

TEST_CASE("the passes keep the values of every case and of its gradient") {
  for (const OpCase& c : op_cases()) {
    CAPTURE(c.name);
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
    const std::vector<Tensor> inputs = sample_inputs(g, c);
    if (c.differentiable && !wrt.empty() && loss.defined()) {
      g.add_output("loss", loss.value);
      g = gradient_graph(g, static_cast<int>(g.outputs().size()) - 1, wrt);
    }
    const Graph after = optimize(g, {}, true);
    std::vector<EvalTensor> given;
    for (const Tensor& t : inputs) given.emplace_back(t);
    const auto a = evaluate(g, given), b = evaluate(after, given);
    REQUIRE(a.size() == b.size());
    for (size_t k = 0; k < a.size(); ++k) {
      REQUIRE(a[k].dims == b[k].dims);
      CHECK(a[k].i == b[k].i);
      for (size_t i = 0; i < a[k].f.size(); ++i) {
        const double tolerance = 1e-6 * (1 + std::fabs(a[k].f[i]));
        const bool both_nan = std::isnan(a[k].f[i]) && std::isnan(b[k].f[i]);
        CHECK(
            (both_nan || a[k].f[i] == b[k].f[i] || std::fabs(a[k].f[i] - b[k].f[i]) <= tolerance));
      }
    }
  }
}

TEST_CASE("constants fold to one literal; repeated numbers stay repeated") {
  const Graph g = parse_graph(
                      "graph @f(%x: f32[2]) -> (f32[2], f32[100], i32[2,1]) {\n"
                      "  %0 = constant {value=f32[2](1, 2)} : f32[2]\n"
                      "  %1 = constant {value=f32[2](0.1, 3)} : f32[2]\n"
                      "  %2 = mul %0, %1 : f32[2]\n"
                      "  %3 = sqrt %2 : f32[2]\n"
                      "  %4 = add %x, %3 : f32[2]\n"
                      "  %5 = constant {value=f32[](4)} : f32[]\n"
                      "  %6 = sqrt %5 : f32[]\n"
                      "  %7 = broadcast %6 {shape=[100], axes=[]} : f32[100]\n"
                      "  %8 = constant {value=i32[2](5, -5)} : i32[2]\n"
                      "  %9 = reshape %8 {shape=[2,1]} : i32[2,1]\n"
                      "  return %4, %7, %9\n"
                      "}\n")
                      .value();
  CHECK(print_graph(fold_constants(g)) ==
        "graph @f(%x: f32[2]) -> (f32[2], f32[100], i32[2,1]) {\n"
        "  %0 = constant {value=f32[2](0.31622776, 2.4494898)} : f32[2]\n"
        "  %1 = add %x, %0 : f32[2]\n"
        "  %2 = constant {value=f32[](2)} : f32[]\n"
        "  %3 = broadcast %2 {shape=[100], axes=[]} : f32[100]\n"
        "  %4 = constant {value=i32[2,1](5, -5)} : i32[2,1]\n"
        "  return %1, %3, %4\n"
        "}\n");
}

}  // namespace lathe
