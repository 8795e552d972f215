// Reductions, contractions, windows and indexing: what they accept, and values computed by hand.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ir/eval.h"
#include "ir/expr.h"
#include "passes/autodiff.h"

namespace lathe {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
using Numbers = std::vector<double>;

// The message of the user error that adding this node gives; empty if there is none.
std::string refusal(OpId op, const Types& operands, Attrs attrs) {
  Graph g;
  std::vector<Value> values;
  for (const TensorType& t : operands)
    values.push_back(g.add_input(fmt::format("x{}", values.size()), t));
  try {
    g.add(op, std::move(values), std::move(attrs));
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

Numbers numbers(const Tensor& t) {
  Numbers out;
  for (int64_t i = 0; i < t.size(); ++i) out.push_back(t.at(i));
  return out;
}

Expr literal(Graph& g, DType t, const Dims& dims, const Numbers& values) {
  Tensor out = Tensor::empty(t, dims);
  REQUIRE(out.size() == std::ssize(values));
  for (int64_t i = 0; i < out.size(); ++i) out.set(i, values[static_cast<size_t>(i)]);
  return constant(g, out);
}

Numbers value_of(const Expr& e) {
  Graph copy = *e.graph;
  copy.set_outputs({{"out", e.value, -1}});
  return numbers(evaluate(copy, std::vector<Tensor>{})[0]);
}

// The gradient of sum(f(x)) at x.
template <class F>
Numbers gradient_at(const Dims& dims, const Numbers& x, F&& f) {
  Graph g;
  const Expr e = f(input(g, "x", {DType::f32, Shape(dims)}));
  Dims axes;
  for (int a = 0; a < e.rank(); ++a) axes.push_back(a);
  g.add_output("loss", reduce_sum(e, axes).value);
  Tensor at = Tensor::empty(DType::f32, dims);
  for (int64_t i = 0; i < at.size(); ++i) at.set(i, x[static_cast<size_t>(i)]);
  return numbers(evaluate(gradient_graph(g, 0, {0}), std::vector<Tensor>{at})[1]);
}

}  // namespace

TEST_CASE("reductions refuse axes that are outside, repeated or unordered") {
  const TensorType x{DType::f32, {2, 3}};
  // [reduce-1] [reduce-2] [reduce-3]
  CHECK(contains(refusal(OpId::reduce_sum, {x}, AxesAttrs{{2}}), "axis 2 is outside"));
  CHECK(contains(refusal(OpId::reduce_max, {x}, AxesAttrs{{-1}}), "axis -1 is outside"));
  CHECK(contains(refusal(OpId::reduce_min, {x}, AxesAttrs{{1, 0}}), "0 follows 1"));
  CHECK(contains(refusal(OpId::reduce_prod, {x}, AxesAttrs{{1, 1}}), "1 follows 1"));
  CHECK(contains(refusal(OpId::reduce_sum, {{DType::boolean, {2}}}, AxesAttrs{{0}}), "bool"));
  // [cumsum-1] [cumsum-2]
  CHECK(contains(refusal(OpId::cumsum, {x}, CumulativeAttrs{2, false, false}), "axis 2"));
  CHECK(contains(refusal(OpId::cumsum, {{DType::boolean, {2}}}, CumulativeAttrs{}), "bool"));
}

TEST_CASE("reductions of nothing give the identity") {
  Graph g;
  const Expr none = literal(g, DType::f32, {2, 0}, {});
  CHECK(value_of(reduce_sum(none, {1})) == Numbers{0, 0});
  CHECK(value_of(reduce_prod(none, {1})) == Numbers{1, 1});
  CHECK(value_of(reduce_max(none, {1})) == Numbers{-kInf, -kInf});
  CHECK(value_of(reduce_min(none, {1})) == Numbers{kInf, kInf});
  const Expr bytes = literal(g, DType::i8, {0}, {});
  CHECK(value_of(reduce_max(bytes, {0})) == Numbers{-128});
  CHECK(value_of(reduce_min(bytes, {0})) == Numbers{127});
  CHECK(value_of(reduce_max(literal(g, DType::boolean, {0}, {}), {0})) == Numbers{0});
  CHECK(value_of(reduce_min(literal(g, DType::boolean, {0}, {}), {0})) == Numbers{1});
}

TEST_CASE("reductions by hand: NaN wins, integers wrap, unsigned compares as unsigned") {
  Graph g;
  const Expr x = literal(g, DType::f32, {2, 3}, {1, 5, 3, 2, kNaN, 4});
  const Numbers most = value_of(reduce_max(x, {1})), least = value_of(reduce_min(x, {1}));
  CHECK(most[0] == 5);
  CHECK(least[0] == 1);
  CHECK(std::isnan(most[1]));
  CHECK(std::isnan(least[1]));
  CHECK(value_of(reduce_sum(literal(g, DType::i8, {3}, {100, 100, 1}), {0})) == Numbers{-55});
  CHECK(value_of(reduce_prod(literal(g, DType::u8, {2}, {16, 17}), {0})) == Numbers{16});
  const Expr big = constant(g, Tensor::from<uint64_t>({2}, {~uint64_t{0}, 5}));
  CHECK(value_of(reduce_min(big, {0})) == Numbers{5});
  CHECK(value_of(reduce_sum(literal(g, DType::f32, {2, 2, 2}, {1, 2, 3, 4, 5, 6, 7, 8}), {0, 2})) ==
        Numbers{14, 22});
}

TEST_CASE("the gradient of max and min is split equally among ties") {
  CHECK(gradient_at({2, 3}, {1, 5, 5, 2, 2, 2}, [](const Expr& x) { return reduce_max(x, {1}); }) ==
        Numbers{0, 0.5, 0.5, 1 / 3.0f, 1 / 3.0f, 1 / 3.0f});
  CHECK(gradient_at({3}, {4, 1, 1}, [](const Expr& x) { return reduce_min(x, {0}); }) ==
        Numbers{0, 0.5, 0.5});
}

TEST_CASE("the gradient of a product is that of the other factors, also where they are zero") {
  const auto product = [](const Expr& x) { return reduce_prod(x, {1}); };
  CHECK(gradient_at({3, 3}, {2, 3, 4, 2, 0, 4, 0, 3, 0}, product) ==
        Numbers{12, 8, 6, 0, 8, 0, 0, 0, 0});
}

TEST_CASE("cumulative sums run either way, with or without their own element") {
  Graph g;
  const Expr x = literal(g, DType::i32, {2, 3}, {1, 2, 3, 10, 20, 30});
  CHECK(value_of(cumsum(x, 1)) == Numbers{1, 3, 6, 10, 30, 60});
  CHECK(value_of(cumsum(x, 1, true)) == Numbers{6, 5, 3, 60, 50, 30});
  CHECK(value_of(cumsum(x, 1, false, true)) == Numbers{0, 1, 3, 0, 10, 30});
  CHECK(value_of(cumsum(x, 1, true, true)) == Numbers{5, 3, 0, 50, 30, 0});
  CHECK(value_of(cumsum(x, 0)) == Numbers{1, 2, 3, 11, 22, 33});
}

TEST_CASE("dot_general refuses axes and types that do not match") {
  const TensorType a{DType::f32, {2, 3}}, b{DType::f32, {3, 4}};
  const auto refused = [](const Types& types, DotAttrs attrs) {
    return refusal(OpId::dot_general, types, std::move(attrs));
  };
  // [dot_general-1] .. [dot_general-7]
  CHECK(contains(refused({a, b}, {.lhs_batch = {0}}), "1 batch axes on the left, 0 on the right"));
  CHECK(contains(refused({a, b}, {.rhs_contract = {0}}), "0 contracting axes on the left, 1"));
  CHECK(contains(refused({a, b}, {.lhs_contract = {2}, .rhs_contract = {0}}), "axis 2 is outside"));
  CHECK(contains(refused({a, b}, {.lhs_contract = {1}, .rhs_contract = {-1}}), "right operand"));
  CHECK(contains(refused({a, b}, {.lhs_contract = {1, 1}, .rhs_contract = {0, 1}}), "twice"));
  CHECK(contains(refused({a, b}, {.lhs_batch = {0}, .rhs_batch = {0}}), "batch dims 2 and 3"));
  CHECK(contains(refused({a, b}, {.lhs_contract = {0}, .rhs_contract = {0}}), "dims 2 and 3"));
  CHECK(contains(refused({a, {DType::i8, {3, 4}}}, {.lhs_contract = {1}, .rhs_contract = {0}}),
                 "all floats"));
  CHECK(contains(refused({a, b}, {.lhs_contract = {1}, .rhs_contract = {0}, .dtype = DType::i32}),
                 "the result is i32"));
  const Dim n = Dim::symbol("n");
  CHECK(contains(refused({{DType::f32, {n}}, {DType::f32, {n + 1}}},
                         {.lhs_contract = {0}, .rhs_contract = {0}}),
                 "dims n and n+1"));
}

TEST_CASE("dot_general by hand: a product of bytes, and batch axes last") {
  Graph g;
  const Expr a = literal(g, DType::i8, {1, 2}, {-128, -128});
  CHECK(value_of(dot_general(a, literal(g, DType::i8, {2, 1}, {-128, -128}),
                             {.lhs_contract = {1}, .rhs_contract = {0}, .dtype = DType::i32})) ==
        Numbers{32768});
  // x[k,b] y[b,k] for b = 0, 1.
  const Expr x = literal(g, DType::f32, {2, 2}, {1, 2, 3, 4});
  const Expr y = literal(g, DType::f32, {2, 2}, {10, 20, 30, 40});
  CHECK(
      value_of(dot_general(
          x, y, {.lhs_batch = {1}, .rhs_batch = {0}, .lhs_contract = {0}, .rhs_contract = {1}})) ==
      Numbers{70, 220});
}

TEST_CASE("a convolution is a contraction of windows") {
  Graph g;
  Numbers image, filter;
  for (int i = 0; i < 2 * 5 * 4; ++i) image.push_back(i % 7 - 3);
  for (int i = 0; i < 3 * 2 * 3 * 2; ++i) filter.push_back(i % 5 - 2);
  const WindowAttrs w{
      .kernel = {3, 2}, .stride = {2, 1}, .dilation = {1, 2}, .low = {1, 0}, .high = {1, 1}};
  const Expr x = windows(literal(g, DType::f32, {2, 5, 4}, image), w);  // [c, 3, 3, kh, kw]
  CHECK(x.type().text() == "f32[2,3,3,3,2]");
  const Numbers result =
      value_of(dot_general(literal(g, DType::f32, {3, 2, 3, 2}, filter), x,
                           {.lhs_contract = {1, 2, 3}, .rhs_contract = {0, 3, 4}}));
  size_t at = 0;
  for (int o = 0; o < 3; ++o)
    for (int row = 0; row < 3; ++row)
      for (int column = 0; column < 3; ++column) {
        double sum = 0;
        for (int c = 0; c < 2; ++c)
          for (int i = 0; i < 3; ++i)
            for (int j = 0; j < 2; ++j) {
              const int r = row * 2 + i - 1, k = column + 2 * j;
              if (r < 0 || r >= 5 || k >= 4) continue;
              sum += image[static_cast<size_t>((c * 5 + r) * 4 + k)] *
                     filter[static_cast<size_t>(((o * 2 + c) * 3 + i) * 2 + j)];
            }
        CHECK(result[at++] == sum);
      }
}

TEST_CASE("windows and fold by hand") {
  Graph g;
  const WindowAttrs w{
      .kernel = {2}, .stride = {2}, .dilation = {2}, .low = {1}, .high = {1}, .fill = 9};
  // Positions -1, 1, 3 and two further on: 9 2, 2 4, 4 9.
  CHECK(value_of(windows(literal(g, DType::f32, {5}, {1, 2, 3, 4, 5}), w)) ==
        Numbers{9, 2, 2, 4, 4, 9});
  WindowAttrs back = w;
  back.size = {5};
  CHECK(value_of(fold(literal(g, DType::f32, {3, 2}, {1, 2, 3, 4, 5, 6}), back)) ==
        Numbers{0, 5, 0, 9, 0});
}

TEST_CASE("windows and fold refuse what does not fit") {
  const TensorType x{DType::f32, {5}};
  const WindowAttrs good{.kernel = {3}, .stride = {1}, .dilation = {1}, .low = {0}, .high = {0}};
  const auto refused = [&](OpId op, const TensorType& t, auto change) {
    WindowAttrs a = good;
    change(a);
    return refusal(op, {t}, a);
  };
  // [windows-1] .. [windows-6]
  CHECK(contains(refused(OpId::windows, x, [](auto& a) { a.stride = {}; }), "equally long"));
  CHECK(contains(refused(OpId::windows, x, [](auto& a) { a.dilation = {0}; }), "dilation 0"));
  CHECK(contains(refused(OpId::windows, x, [](auto& a) { a.kernel = {1 << 20}; }), "2^20"));
  CHECK(contains(refused(OpId::windows, x, [](auto& a) { a.low = {int64_t{1} << 62}; }), "large"));
  CHECK(contains(refused(OpId::windows, {DType::f32, {}}, [](auto&) {}), "rank 0"));
  CHECK(contains(refused(OpId::windows, {DType::u8, {5}}, [](auto& a) { a.fill = -1; }), "fill"));
  CHECK(contains(refused(OpId::windows, x, [](auto& a) { a.kernel = {7}; }), "wider"));
  // [fold-1] .. [fold-5]
  const TensorType y{DType::f32, {3, 3}};
  CHECK(contains(refused(OpId::fold, y, [](auto&) {}), "size has 0 dims"));
  CHECK(contains(refused(OpId::fold, x, [](auto& a) { a.size = {5}; }), "rank 2"));
  CHECK(contains(refused(OpId::fold, {DType::boolean, {3, 3}}, [](auto& a) { a.size = {5}; }),
                 "bool"));
  CHECK(contains(refused(OpId::fold, y, [](auto& a) { a.size = {6}; }), "a dim of 6 has 4"));
  CHECK(
      contains(refused(OpId::fold, {DType::f32, {3, 2}}, [](auto& a) { a.size = {5}; }), "2 taps"));
}

TEST_CASE("gather and scatter_add clamp indices, and equal indices add") {
  Graph g;
  const Expr table = literal(g, DType::f32, {3, 2}, {1, 2, 3, 4, 5, 6});
  const Expr indices = literal(g, DType::i64, {4}, {2, -5, 99, 1});
  CHECK(value_of(gather(table, indices, 0)) == Numbers{5, 6, 1, 2, 5, 6, 3, 4});
  CHECK(value_of(gather(table, literal(g, DType::i64, {}, {1}), 1)) == Numbers{2, 4, 6});
  const Expr updates = literal(g, DType::f32, {4, 2}, {1, 1, 10, 10, 100, 100, 1000, 1000});
  CHECK(value_of(scatter_add(table, indices, updates, 0)) == Numbers{11, 12, 1003, 1004, 106, 107});
  const Expr signs = literal(g, DType::f32, {4, 2}, {-1, 7, 2, 2, 3, -1, 0, 9});
  CHECK(value_of(scatter_mul(table, indices, signs, 0)) == Numbers{2, 4, 0, 36, -15, -42});
  CHECK(value_of(scatter_max(table, indices, signs, 0)) == Numbers{2, 2, 3, 9, 5, 7});
  CHECK(value_of(scatter_min(table, indices, signs, 0)) == Numbers{1, 2, 0, 4, -1, -1});
  const Expr wide = constant(g, Tensor::from<uint64_t>({1}, {~uint64_t{0}}));
  CHECK(value_of(gather(table, wide, 0)) == Numbers{5, 6});
}

TEST_CASE("gather and scatter_add refuse wrong axes, indices and updates") {
  const TensorType x{DType::f32, {3, 2}}, i{DType::i64, {4}};
  // [index-1] [index-2] [index-3] [scatter-1] [scatter-2]
  CHECK(contains(refusal(OpId::gather, {x, i}, AxisAttrs{2}), "axis 2"));
  CHECK(contains(refusal(OpId::gather, {x, x}, AxisAttrs{0}), "indices are f32"));
  CHECK(contains(refusal(OpId::gather, {{DType::f32, {0}}, i}, AxisAttrs{0}), "axis 0 is empty"));
  CHECK(contains(refusal(OpId::scatter_add, {x, i, x}, AxisAttrs{0}), "f32[4,2] was expected"));
  const TensorType b{DType::boolean, {3}}, u{DType::boolean, {4}};
  CHECK(contains(refusal(OpId::scatter_add, {b, i, u}, AxisAttrs{0}), "bool is not combined"));
}

}  // namespace lathe
