// What ops accept, and what they mean: sources, elementwise ops and views against values computed
// by hand.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "ir/eval.h"
#include "ir/expr.h"

namespace lathe {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const Dim n = Dim::symbol("n");

// The message of the user error that adding this node gives; empty if there is none.
std::string refusal(OpId op, const Types& operands, Attrs attrs = NoAttrs{}) {
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

Tensor run(const Graph& g, const Expr& out, const std::vector<Tensor>& inputs) {
  Graph copy = g;
  copy.add_output("out", out.value);
  return evaluate(copy, inputs)[0];
}

std::vector<double> numbers(const Tensor& t) {
  std::vector<double> out;
  for (int64_t i = 0; i < t.size(); ++i) out.push_back(t.at(i));
  return out;
}

// NaN equals NaN, and +0 differs from -0.
bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (a[i] != b[i] || std::signbit(a[i]) != std::signbit(b[i])) return false;
  }
  return true;
}

Tensor vector_of(DType t, const std::vector<double>& values) {
  Tensor out = Tensor::empty(t, {std::ssize(values)});
  for (size_t i = 0; i < values.size(); ++i) out.set(static_cast<int64_t>(i), values[i]);
  return out;
}

using Binary = Expr (*)(const Expr&, const Expr&);
using Unary = Expr (*)(const Expr&);
using Numbers = std::vector<double>;

Numbers apply(Unary f, DType t, const Numbers& x) {
  Graph g;
  const Expr a = input(g, "a", {t, {std::ssize(x)}});
  return numbers(run(g, f(a), {vector_of(t, x)}));
}

Numbers apply(Binary f, DType t, const Numbers& x, const Numbers& y) {
  Graph g;
  const Expr a = input(g, "a", {t, {std::ssize(x)}});
  const Expr b = input(g, "b", {t, {std::ssize(y)}});
  return numbers(run(g, f(a, b), {vector_of(t, x), vector_of(t, y)}));
}

// The result of one view of a 2x3 f32 tensor 1..6.
template <class F>
Tensor view_of_six(F&& f) {
  Graph g;
  const Expr x = input(g, "x", {DType::f32, {2, 3}});
  return run(g, f(x), {Tensor::from<float>({2, 3}, {1, 2, 3, 4, 5, 6})});
}

const TensorType f32_23{DType::f32, {2, 3}};

}  // namespace

TEST_CASE("elementwise ops refuse mixed types, mixed shapes and types they do not take") {
  // [elementwise-1] [elementwise-2] [elementwise-3]
  CHECK(contains(refusal(OpId::add, {f32_23, {DType::f64, {2, 3}}}), "f32 and f64"));
  CHECK(contains(refusal(OpId::add, {f32_23, {DType::f32, {3, 2}}}), "[2,3] and [3,2]"));
  CHECK(contains(refusal(OpId::add, {{DType::f32, {n}}, {DType::f32, {n + 1}}}), "[n] and [n+1]"));
  CHECK(contains(refusal(OpId::exp, {{DType::i32, {2}}}), "i32 is given, floats expected"));
  CHECK(contains(refusal(OpId::logical_not, {{DType::i32, {2}}}), "bool expected"));
  CHECK(contains(refusal(OpId::bit_and, {f32_23, f32_23}), "integers or bool expected"));
  CHECK(contains(refusal(OpId::add, {f32_23}), "1 operands given, 2 expected"));
}

TEST_CASE("select refuses a condition that is not bool or has another shape") {
  // [select-1] [select-2]
  CHECK(contains(refusal(OpId::select, {f32_23, f32_23, f32_23}), "bool is expected"));
  CHECK(contains(refusal(OpId::select, {{DType::boolean, {2}}, f32_23, f32_23}),
                 "[2], [2,3] is expected"));
}

TEST_CASE("sources refuse negative dims, axes outside and missing values") {
  // [parameter-1] [parameter-2] [constant-1] [iota-1] [iota-2] [iota-3]
  CHECK(contains(refusal(OpId::parameter, {}, ParameterAttrs{-1, DType::f32, {}}), "negative"));
  CHECK(contains(refusal(OpId::parameter, {}, ParameterAttrs{0, DType::f32, {-2}}), "[-2]"));
  CHECK(contains(refusal(OpId::constant, {}, ConstantAttrs{}), "no value"));
  CHECK(contains(refusal(OpId::iota, {}, IotaAttrs{DType::i64, {2}, 1}), "axis 1"));
  CHECK(contains(refusal(OpId::iota, {}, IotaAttrs{DType::boolean, {2}, 0}), "bool"));
  CHECK(contains(refusal(OpId::iota, {}, IotaAttrs{DType::i64, {-1}, 0}), "negative"));
}

TEST_CASE("reshape refuses negative dims and another number of elements") {
  // [reshape-1] [reshape-2]
  CHECK(contains(refusal(OpId::reshape, {f32_23}, ShapeAttrs{{-2, -3}}), "negative"));
  CHECK(contains(refusal(OpId::reshape, {f32_23}, ShapeAttrs{{7}}), "6 elements"));
  CHECK(contains(refusal(OpId::reshape, {{DType::f32, {n, 4}}}, ShapeAttrs{{n * 2, 3}}), "4*n"));
  CHECK(refusal(OpId::reshape, {{DType::f32, {n, 4}}}, ShapeAttrs{{2, n * 2}}) == "");
}

TEST_CASE("transpose refuses what is not a permutation") {
  // [transpose-1]
  for (const Dims& perm : {Dims{0}, Dims{0, 0}, Dims{0, 2}, Dims{-1, 0}, Dims{0, 1, 2}})
    CHECK(contains(refusal(OpId::transpose, {f32_23}, PermAttrs{perm}), "not a permutation"));
}

TEST_CASE("broadcast refuses wrong axes and lengths that do not stretch") {
  // [broadcast-1] [broadcast-2] [broadcast-3] [broadcast-4]
  const auto refused = [](const Shape& x, Shape shape, Dims axes) {
    return refusal(OpId::broadcast, {{DType::f32, x}}, BroadcastAttrs{std::move(shape), axes});
  };
  CHECK(contains(refused({3}, {2, 3}, {}), "0 axes"));
  CHECK(contains(refused({3}, {2, 3}, {2}), "increasing"));
  CHECK(contains(refused({2, 2}, {2, 2}, {1, 0}), "increasing"));
  CHECK(contains(refused({3}, {3, 2}, {1}), "length 3 does not stretch to 2"));
  CHECK(contains(refused({n}, {2, n + 1}, {1}), "length n does not stretch to n+1"));
  CHECK(contains(refused({}, {-1}, {}), "negative"));
}

TEST_CASE("slice refuses wrong ranks, zero strides and elements outside") {
  // [slice-1] [slice-2] [slice-3]
  const auto refused = [](const Dim& length, SliceAttrs attrs) {
    return refusal(OpId::slice, {{DType::f32, {length}}}, std::move(attrs));
  };
  CHECK(contains(refused(5, {{0, 0}, {1}, {1}}), "2, 1 and 1 entries"));
  CHECK(contains(refused(5, {{0}, {1}, {0}}), "stride of axis 0 is 0"));
  CHECK(contains(refused(5, {{2}, {4}, {1}}), "element 5 of an axis of length 5"));
  CHECK(contains(refused(5, {{-1}, {2}, {1}}), "element -1"));
  CHECK(contains(refused(5, {{1}, {3}, {-1}}), "element -1"));
  CHECK(contains(refused(5, {{0}, {-1}, {1}}), "negative size"));
  CHECK(contains(refused(n, {{n}, {1}, {1}}), "element n of an axis of length n"));
  CHECK(refused(n, {{n - 1}, {n}, {-1}}) == "");
  CHECK(refused(5, {{5}, {0}, {1}}) == "");
}

TEST_CASE("pad refuses wrong ranks, fills and amounts") {
  // [pad-1] [pad-2] [pad-3] [pad-4]
  const TensorType x{DType::f32, {5}}, fill{DType::f32, {}};
  CHECK(contains(refusal(OpId::pad, {x, fill}, PadAttrs{{0, 0}, {0}, {0}}), "2, 1 and 1"));
  CHECK(contains(refusal(OpId::pad, {x, {DType::f64, {}}}, PadAttrs{{0}, {0}, {0}}), "f64[]"));
  CHECK(contains(refusal(OpId::pad, {x, x}, PadAttrs{{0}, {0}, {0}}), "scalar"));
  CHECK(contains(refusal(OpId::pad, {x, fill}, PadAttrs{{0}, {0}, {-1}}), "interior padding -1"));
  CHECK(contains(refusal(OpId::pad, {x, fill}, PadAttrs{{-3}, {-3}, {0}}), "length -1"));
}

TEST_CASE("concat refuses no operands, wrong axes, mixed types and shapes") {
  // [concat-1] [concat-2] [concat-3] [concat-4]
  CHECK(contains(refusal(OpId::concat, {}, AxisAttrs{0}), "at least one"));
  CHECK(contains(refusal(OpId::concat, {f32_23}, AxisAttrs{2}), "axis 2"));
  CHECK(contains(refusal(OpId::concat, {f32_23, {DType::i32, {2, 3}}}, AxisAttrs{0}), "i32"));
  CHECK(contains(refusal(OpId::concat, {f32_23, {DType::f32, {3, 3}}}, AxisAttrs{1}),
                 "[2,3] and [3,3] differ outside of axis 1"));
  CHECK(contains(refusal(OpId::concat, {f32_23, {DType::f32, {2}}}, AxisAttrs{0}), "[2]"));
}

TEST_CASE("shapes are inferred symbolically") {
  Graph g;
  const Expr x = input(g, "x", {DType::f32, {n, 4}});
  CHECK(transpose(x, {1, 0}).type().text() == "f32[4,n]");
  CHECK(concat({x, x, slice_axis(x, 0, 1, n - 1)}, 0).type().text() == "f32[3*n-1,4]");
  CHECK(pad(x, 0, {1, 0}, {2, 0}, {1, 0}).type().text() == "f32[2*n+2,4]");
  CHECK(reshape(x, {n * 4}).type().text() == "f32[4*n]");
  CHECK(lt(x, 0).type().text() == "bool[n,4]");
  CHECK(cast(x, DType::i8).type().text() == "i8[n,4]");
}

TEST_CASE("maximum and minimum propagate NaN") {
  CHECK(same_bits(apply(max, DType::f32, {1, kNaN, 2, -kInf}, {2, 1, kNaN, -1}),
                  {2, kNaN, kNaN, -1}));
  CHECK(same_bits(apply(min, DType::f32, {1, kNaN, 2, -kInf}, {2, 1, kNaN, -1}),
                  {1, kNaN, kNaN, -kInf}));
}

TEST_CASE("float arithmetic is IEEE") {
  CHECK(same_bits(apply(div, DType::f32, {1, -1, 0, kInf}, {0, 0, 0, kInf}),
                  {kInf, -kInf, kNaN, kNaN}));
  CHECK(same_bits(apply(rem, DType::f32, {5.5, -5.5, 5.5, 1}, {2, 2, -2, 0}),
                  {1.5, -1.5, 1.5, kNaN}));
  CHECK(same_bits(apply(neg, DType::f32, {0, kInf}), {-0.0, -kInf}));
  CHECK(same_bits(apply(abs, DType::f32, {-0.0, -3, -kInf}), {0, 3, kInf}));
  CHECK(same_bits(apply(round_even, DType::f32, {0.5, 1.5, -0.5, 2.5}), {0, 2, -0.0, 2}));
  CHECK(same_bits(apply(floor, DType::f32, {1.5, -1.5}), {1, -2}));
  CHECK(same_bits(apply(ceil, DType::f32, {1.5, -1.5}), {2, -1}));
  CHECK(same_bits(apply(sqrt, DType::f32, {4, -1}), {2, kNaN}));
  CHECK(same_bits(apply(log, DType::f32, {1, 0, -1}), {0, -kInf, kNaN}));
  CHECK(same_bits(apply(sigmoid, DType::f32, {0, kInf, -kInf}), {0.5, 1, 0}));
  CHECK(same_bits(apply(pow, DType::f32, {2, 0, -2}, {10, 0, 0.5}), {1024, 1, kNaN}));
}

TEST_CASE("integers wrap, and division by zero has a value") {
  CHECK(apply(add, DType::i8, {127, -128}, {1, -1}) == Numbers{-128, 127});
  CHECK(apply(mul, DType::u8, {16, 255}, {16, 255}) == Numbers{0, 1});
  CHECK(apply(neg, DType::i8, {-128, 5}) == Numbers{-128, -5});
  CHECK(apply(abs, DType::i8, {-128, -5}) == Numbers{-128, 5});
  CHECK(apply(div, DType::i32, {7, -7, 7, -2147483648.0}, {2, 2, 0, -1}) ==
        Numbers{3, -3, -1, -2147483648.0});
  CHECK(apply(div, DType::u8, {7, 7}, {2, 0}) == Numbers{3, 255});
  CHECK(apply(rem, DType::i32, {7, -7, 7, -2147483648.0}, {2, 2, 0, -1}) == Numbers{1, -1, 7, 0});
  CHECK(apply(shift_left, DType::i8, {1, 1, 1}, {6, 7, 8}) == Numbers{64, -128, 0});
  CHECK(apply(shift_right, DType::i8, {-128, -128, 4}, {1, 9, -1}) == Numbers{-64, -1, 0});
  CHECK(apply(shift_right, DType::u8, {128, 128}, {1, 9}) == Numbers{64, 0});
}

TEST_CASE("comparisons with NaN are false, but for ne") {
  CHECK(apply(eq, DType::f32, {1, kNaN}, {1, kNaN}) == Numbers{1, 0});
  CHECK(apply(ne, DType::f32, {1, kNaN}, {1, kNaN}) == Numbers{0, 1});
  CHECK(apply(lt, DType::f32, {1, kNaN}, {2, 1}) == Numbers{1, 0});
  CHECK(apply(ge, DType::f32, {2, kNaN}, {2, 1}) == Numbers{1, 0});
  CHECK(apply(lt, DType::u8, {1, 200}, {200, 1}) == Numbers{1, 0});
}

TEST_CASE("unsigned 64-bit values above the signed range compare and divide as unsigned") {
  Graph g;
  const Expr a = input(g, "a", {DType::u64, {}}), b = input(g, "b", {DType::u64, {}});
  const Tensor big = Tensor::scalar<uint64_t>(~uint64_t{0}), two = Tensor::scalar<uint64_t>(2);
  CHECK(run(g, lt(b, a), {big, two}).int_at(0) == 1);
  CHECK(run(g, div(a, b), {big, two}).int_at(0) == std::numeric_limits<int64_t>::max());
  CHECK(run(g, cast(a, DType::f64), {big, two}).at(0) == 0x1p64);
}

TEST_CASE("casts truncate, saturate, wrap and round") {
  const auto convert = [](DType from, DType to, const Numbers& x) {
    Graph g;
    const Expr a = input(g, "a", {from, {std::ssize(x)}});
    return numbers(run(g, cast(a, to), {vector_of(from, x)}));
  };
  CHECK(convert(DType::f32, DType::i8, {1.9, -1.9, 300, -300, kNaN}) ==
        Numbers{1, -1, 127, -128, 0});
  CHECK(convert(DType::i32, DType::u8, {-1, 256, 257}) == Numbers{255, 0, 1});
  CHECK(convert(DType::f32, DType::boolean, {0, 0.25, kNaN}) == Numbers{0, 1, 1});
  CHECK(convert(DType::boolean, DType::f32, {0, 1}) == Numbers{0, 1});
  CHECK(convert(DType::f64, DType::f32, {1 + 0x1p-30}) == Numbers{1});
  CHECK(convert(DType::f32, DType::f16, {1 + 0x1p-11, 1 + 3 * 0x1p-11, 70000}) ==
        Numbers{1, 1 + 0x1p-9, kInf});
  CHECK(convert(DType::i64, DType::f32, {16777217}) == Numbers{16777216});
}

TEST_CASE("select picks by element and broadcasts its operands") {
  Graph g;
  const Expr c = input(g, "c", {DType::boolean, {2, 1}});
  const Expr a = input(g, "a", {DType::i32, {2}}), b = input(g, "b", {DType::i32, {}});
  const Tensor out = run(g, select(c, a, b),
                         {Tensor::from<bool>({2, 1}, {true, false}),
                          Tensor::from<int32_t>({2}, {1, 2}), Tensor::scalar<int32_t>(9)});
  CHECK(numbers(out) == Numbers{1, 2, 9, 9});
}

TEST_CASE("views move elements where they say") {
  const auto values = [](auto f) { return numbers(view_of_six(f)); };
  CHECK(values([](auto x) { return reshape(x, {3, 2}); }) == Numbers{1, 2, 3, 4, 5, 6});
  CHECK(values([](auto x) { return transpose(x, {1, 0}); }) == Numbers{1, 4, 2, 5, 3, 6});
  CHECK(values([](auto x) { return slice(x, {0, 1}, {2, 2}); }) == Numbers{2, 3, 5, 6});
  CHECK(values([](auto x) { return slice(x, {1, 2}, {2, 2}, {-1, -2}); }) == Numbers{6, 4, 3, 1});
  CHECK(values([](auto x) { return reverse(x, 1); }) == Numbers{3, 2, 1, 6, 5, 4});
  CHECK(values([](auto x) { return slice_axis(x, 1, 2, 1); }) == Numbers{3, 6});
  CHECK(values([](auto x) { return concat({x, slice_axis(x, 1, 0, 1)}, 1); }) ==
        Numbers{1, 2, 3, 1, 4, 5, 6, 4});
  CHECK(values([](auto x) { return concat({x, x}, 0); }) ==
        Numbers{1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6});
}

TEST_CASE("broadcast repeats along new axes and axes of length 1") {
  Graph g;
  const Expr x = input(g, "x", {DType::f32, {2, 1}});
  const Tensor values = Tensor::from<float>({2, 1}, {1, 2});
  CHECK(numbers(run(g, broadcast(x, {2, 3}, {0, 1}), {values})) == Numbers{1, 1, 1, 2, 2, 2});
  CHECK(numbers(run(g, broadcast(x, {2, 2, 1}, {1, 2}), {values})) == Numbers{1, 2, 1, 2});
}

TEST_CASE("pad surrounds, spreads and crops") {
  Graph g;
  const Expr x = input(g, "x", {DType::f32, {3}});
  const Tensor values = Tensor::from<float>({3}, {1, 2, 3});
  const auto padded = [&](const Dim& low, const Dim& high, int64_t interior) {
    return numbers(run(g, pad(x, 9, {low}, {high}, {interior}), {values}));
  };
  CHECK(padded(1, 2, 0) == Numbers{9, 1, 2, 3, 9, 9});
  CHECK(padded(0, 1, 1) == Numbers{1, 9, 2, 9, 3, 9});
  CHECK(padded(-1, 1, 0) == Numbers{2, 3, 9});
  CHECK(padded(-1, -1, 1) == Numbers{9, 2, 9});
  CHECK(padded(-3, 0, 0) == Numbers{});
}

TEST_CASE("iota counts along its axis and wraps") {
  Graph g;
  CHECK(numbers(run(g, iota(g, DType::i64, {2, 2}, 0), {})) == Numbers{0, 0, 1, 1});
  CHECK(numbers(run(g, iota(g, DType::f32, {2, 2}, 1), {})) == Numbers{0, 1, 0, 1});
  CHECK(numbers(run(g, iota(g, DType::i8, {130}, 0), {}))[129] == -127);
}

}  // namespace lathe
