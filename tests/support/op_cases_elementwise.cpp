// Rows for sources and elementwise ops.
#include <cmath>
#include <limits>

#include "ir/op.h"
#include "tests/support/op_cases.h"

namespace lathe {
namespace {

using Cases = std::vector<OpCase>;
using Unary = Expr (*)(const Expr&);
using Binary = Expr (*)(const Expr&, const Expr&);
using Outputs = std::vector<Expr>;
using Real = long double;

// A row of 37 is a few vectors and a tail for every vector width.
constexpr int kRow = 37;
constexpr double kHalfTolerance = 2e-3;     // 2^-11 relative, twice
constexpr double kBrainTolerance = 1.6e-2;  // 2^-8 relative, four times

Expr in(Graph& g, Shape shape, DType t = DType::f32) {
  return input(g, fmt::format("x{}", g.inputs().size()), {t, std::move(shape)});
}

double tolerance_of(DType t) {
  if (t == DType::f16) return kHalfTolerance;
  if (t == DType::bf16) return kBrainTolerance;
  return t == DType::f64 ? 1e-12 : 1e-5;
}

std::string name_of(OpId op) { return std::string(op_def(op).name); }

void add_unary(Cases& cases, OpId op, Unary f, Domain domain = {}, Accuracy accuracy = {}) {
  for (DType t : {DType::f32, DType::f64, DType::f16, DType::bf16})
    cases.push_back(
        {.op = op,
         .name = fmt::format("{}/{}", op_def(op).name, name(t)),
         .build = [f, t](Graph& g, const Dim& n) -> Outputs { return {f(in(g, {n, kRow}, t))}; },
         .domains = {domain},
         .tolerance = tolerance_of(t),
         .differentiable = byte_size(t) >= 4,
         .accuracy = byte_size(t) >= 4 ? accuracy : Accuracy{}});
  cases.push_back({op,
                   name_of(op) + "/scalar",
                   [f](Graph& g, const Dim&) -> Outputs { return {f(in(g, {}))}; },
                   {domain}});
}

void add_binary(Cases& cases, OpId op, Binary f, DType t, std::vector<Domain> domains,
                bool differentiable, const char* what = "") {
  cases.push_back({.op = op,
                   .name = fmt::format("{}{}/{}", op_def(op).name, what, name(t)),
                   .build = [f, t](Graph& g, const Dim& n) -> Outputs {
                     const Expr a = in(g, {n, kRow}, t);
                     return {f(a, in(g, {n, kRow}, t))};
                   },
                   .domains = std::move(domains),
                   .tolerance = tolerance_of(t),
                   .differentiable = differentiable});
}

void add_float_binary(Cases& cases, OpId op, Binary f, Domain a = {}, Domain b = {},
                      Accuracy accuracy = {}) {
  for (DType t : {DType::f32, DType::f64}) {
    add_binary(cases, op, f, t, {a, b}, true);
    cases.back().accuracy = accuracy;
  }
  for (DType t : {DType::f16, DType::bf16}) add_binary(cases, op, f, t, {a, b}, false);
  const auto row = [&](const char* what, auto build) {
    cases.push_back({op, name_of(op) + "/" + what, build, {a, b}});
  };
  row("broadcast_row", [f](Graph& g, const Dim& n) -> Outputs {
    const Expr x = in(g, {n, 5, 3});
    return {f(x, in(g, {3}))};
  });
  row("broadcast_both", [f](Graph& g, const Dim& n) -> Outputs {
    const Expr x = in(g, {n, 1, 3});
    return {f(x, in(g, {4, 1}))};
  });
  row("same_operand", [f](Graph& g, const Dim& n) -> Outputs {
    const Expr x = in(g, {n});
    return {f(x, x)};
  });
}

void add_integer_binary(Cases& cases, OpId op, Binary f, Domain a = {}, Domain b = {}) {
  for (DType t : {DType::i8, DType::u8, DType::i16, DType::u16, DType::i32, DType::u32, DType::i64,
                  DType::u64})
    add_binary(cases, op, f, t, {a, b}, false);
}

void add_comparison(Cases& cases, OpId op, Binary f) {
  // Half of the integers in [-1, 1] are equal; floats are compared with themselves reversed.
  add_integer_binary(cases, op, f, {-1, 1}, {-1, 1});
  for (DType t : {DType::f32, DType::f64, DType::f16})
    cases.push_back({.op = op,
                     .name = fmt::format("{}/{}", op_def(op).name, name(t)),
                     .build = [f, t](Graph& g, const Dim& n) -> Outputs {
                       const Expr x = in(g, {n, kRow}, t);
                       return {f(x, reverse(x, 1))};
                     },
                     .differentiable = false});
}

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// All pairs of the numbers where IEEE arithmetic is special.
void add_special_values(Cases& cases, OpId op, Binary f) {
  cases.push_back({.op = op,
                   .name = name_of(op) + "/special_values",
                   .build = [f](Graph& g, const Dim&) -> Outputs {
                     Tensor values = Tensor::empty(DType::f32, {9});
                     int64_t k = 0;
                     for (double v : {0.0, -0.0, 1.0, -1.0, kInf, -kInf, kNaN, 1e-40, 3e38})
                       values.set(k++, v);
                     const Expr x = constant(g, values);
                     const Expr y = x * in(g, {});  // times 1, so that nothing is folded
                     return {f(expand_dims(y, 1), y)};
                   },
                   .domains = {{1, 1}},
                   .differentiable = false});
}

void add_unary_rows(Cases& cases) {
  add_unary(cases, OpId::neg, neg);
  add_unary(cases, OpId::abs, abs, {-2, 2, 0.1});
  for (auto [op, f] :
       {std::pair<OpId, Unary>{OpId::floor, floor}, {OpId::ceil, ceil}, {OpId::trunc, trunc}})
    add_unary(cases, op, f, {.low = -9, .high = 9, .away = 0.1, .period = 1});
  // Rounding jumps at the halves; whole numbers are avoided as well.
  add_unary(cases, OpId::round_even, round_even, {-9, 9, 0.1, 0.5});
  add_unary(cases, OpId::sqrt, sqrt, {0.25, 4});
  add_unary(cases, OpId::exp, exp, {},
            {.exact = [](Real x, Real) { return std::exp(x); }, .f32 = 1, .f64 = 1});
  add_unary(cases, OpId::log, log, {0.25, 4},
            {.exact = [](Real x, Real) { return std::log(x); }, .f32 = 1, .f64 = 1});
  add_unary(cases, OpId::tanh, tanh, {},
            {.exact = [](Real x, Real) { return std::tanh(x); }, .f32 = 3, .f64 = 3});
  add_unary(cases, OpId::sigmoid, sigmoid, {},
            {.exact = [](Real x, Real) { return 1 / (1 + std::exp(-x)); }, .f32 = 2.5, .f64 = 2.5});
  add_unary(
      cases, OpId::sin, sin, {},
      {.exact = [](Real x, Real) { return std::sin(x); }, .f32 = 0.6, .f64 = 1.6, .limit = 0x1p30});
  add_unary(
      cases, OpId::cos, cos, {},
      {.exact = [](Real x, Real) { return std::cos(x); }, .f32 = 0.6, .f64 = 1.6, .limit = 0x1p30});
  add_unary(cases, OpId::erf, erf, {},
            {.exact = [](Real x, Real) { return std::erf(x); }, .f32 = 1, .f64 = 1.1});
  add_unary(
      cases, OpId::tan, tan, {-1.2, 1.2},
      {.exact = [](Real x, Real) { return std::tan(x); }, .f32 = 0.6, .f64 = 2.8, .limit = 0x1p30});
  add_unary(cases, OpId::asin, asin, {-0.8, 0.8},
            {.exact = [](Real x, Real) { return std::asin(x); }, .f32 = 2.5, .f64 = 2.5});
  add_unary(cases, OpId::acos, acos, {-0.8, 0.8},
            {.exact = [](Real x, Real) { return std::acos(x); }, .f32 = 2, .f64 = 2});
  add_unary(cases, OpId::atan, atan, {},
            {.exact = [](Real x, Real) { return std::atan(x); }, .f32 = 1.5, .f64 = 1.5});
  add_unary(cases, OpId::sinh, sinh, {},
            {.exact = [](Real x, Real) { return std::sinh(x); }, .f32 = 2.5, .f64 = 2.5});
  add_unary(cases, OpId::cosh, cosh, {},
            {.exact = [](Real x, Real) { return std::cosh(x); }, .f32 = 2, .f64 = 2});
  add_unary(cases, OpId::expm1, expm1, {},
            {.exact = [](Real x, Real) { return std::expm1(x); }, .f32 = 2.5, .f64 = 2.5});
  add_unary(cases, OpId::log1p, log1p, {-0.75, 3},
            {.exact = [](Real x, Real) { return std::log1p(x); }, .f32 = 1.5, .f64 = 1.5});
  add_unary(cases, OpId::asinh, asinh, {},
            {.exact = [](Real x, Real) { return std::asinh(x); }, .f32 = 3, .f64 = 3});
  add_unary(cases, OpId::acosh, acosh, {1.25, 4},
            {.exact = [](Real x, Real) { return std::acosh(x); }, .f32 = 3, .f64 = 3});
  add_unary(cases, OpId::atanh, atanh, {-0.75, 0.75},
            {.exact = [](Real x, Real) { return std::atanh(x); }, .f32 = 3, .f64 = 3});
  for (DType t : {DType::i8, DType::i16, DType::i32, DType::i64, DType::u8, DType::u64})
    for (auto [op, f] : {std::pair<OpId, Unary>{OpId::neg, neg}, {OpId::abs, abs}})
      cases.push_back({.op = op,
                       .name = fmt::format("{}/{}", op_def(op).name, name(t)),
                       .build = [f = f, t](Graph& g, const Dim& n) -> Outputs {
                         return {f(in(g, {n, kRow}, t))};
                       },
                       .domains = {{-128, 127}},
                       .differentiable = false});
  cases.push_back(
      {.op = OpId::stop_gradient,
       .name = "stop_gradient/f32",
       .build = [](Graph& g, const Dim& n) -> Outputs { return {stop_gradient(in(g, {n, kRow}))}; },
       .differentiable = false});
  cases.push_back({.op = OpId::logical_not,
                   .name = "logical_not/bool",
                   .build = [](Graph& g, const Dim& n) -> Outputs {
                     return {logical_not(in(g, {n, kRow}, DType::boolean))};
                   },
                   .differentiable = false});
}

void add_cast_rows(Cases& cases) {
  for (int from = 0; from < kDTypeCount; ++from)
    for (int to = 0; to < kDTypeCount; ++to) {
      const auto a = static_cast<DType>(from), b = static_cast<DType>(to);
      const bool floats = is_float(a) && is_float(b);
      cases.push_back({.op = OpId::cast,
                       .name = fmt::format("cast/{}_{}", name(a), name(b)),
                       .build = [a, b](Graph& g, const Dim& n) -> Outputs {
                         const Expr x = in(g, {n, kRow}, a);
                         return {Expr{&g, g.add(OpId::cast, {x.value}, DTypeAttrs{b})}};
                       },
                       // Outside of the 8-bit range, so that casts saturate and wrap. Truncation
                       // and rounding of 16-bit floats are exact here and agree bit for bit.
                       .domains = {{-400, 400}},
                       .tolerance = std::max(tolerance_of(a), tolerance_of(b)),
                       .differentiable = floats && byte_size(a) >= 4 && byte_size(b) >= 4});
    }
}

void add_bitcast_rows(Cases& cases) {
  const DType types[] = {DType::f32, DType::i32, DType::u32, DType::f64, DType::i64, DType::u64};
  for (const DType from : types)
    for (const DType to : types) {
      if (byte_size(from) != byte_size(to)) continue;
      // Bits of integers are made those of ordinary floats, and the other way round.
      cases.push_back({.op = OpId::bitcast,
                       .name = fmt::format("bitcast/{}_{}", name(from), name(to)),
                       .build = [from, to](Graph& g, const Dim& n) -> Outputs {
                         const Expr x = in(g, {n, kRow}, from);
                         return {Expr{&g, g.add(OpId::bitcast, {x.value}, DTypeAttrs{to})}};
                       },
                       .domains = {is_float(from) ? Domain{-2, 2} : Domain{0x3f000000, 0x3fffffff}},
                       .tolerance = 0,
                       .differentiable = false});
    }
}

void add_binary_rows(Cases& cases) {
  const Domain nonzero{-2, 2, 0.25}, positive{0.25, 2};
  add_float_binary(cases, OpId::add, add);
  add_float_binary(cases, OpId::sub, sub);
  add_float_binary(cases, OpId::mul, mul);
  add_float_binary(cases, OpId::div, div, nonzero, nonzero);
  add_float_binary(cases, OpId::pow, pow, positive, {-2, 2},
                   {.exact = [](Real x, Real y) { return std::pow(x, y); },
                    .f32 = 0.6,
                    .f64 = 2,
                    .f64_growth = 2.4});
  for (DType t : {DType::f32, DType::f64})  // quotients 5.1 to 5.92: away from whole ones
    add_binary(cases, OpId::rem, rem, t, {{5.1, 5.8}, {0.98, 1.0}}, true);
  add_binary(cases, OpId::rem, rem, DType::f32, {{-9, 9}, {-2, 2, 0.25}}, false, "_signs");
  for (DType t : {DType::f32, DType::f64, DType::f16}) {
    add_binary(cases, OpId::max, max, t, {}, byte_size(t) >= 4);
    add_binary(cases, OpId::min, min, t, {}, byte_size(t) >= 4);
  }
  for (auto [op, f] : {std::pair<OpId, Binary>{OpId::add, add},
                       {OpId::sub, sub},
                       {OpId::mul, mul},
                       {OpId::max, max},
                       {OpId::min, min},
                       {OpId::bit_and, bit_and},
                       {OpId::bit_or, bit_or},
                       {OpId::bit_xor, bit_xor}})
    add_integer_binary(cases, op, f, {-128, 127}, {-128, 127});
  // Divisors 0 and -1 included.
  add_integer_binary(cases, OpId::div, div, {-128, 127}, {-3, 3});
  add_integer_binary(cases, OpId::rem, rem, {-128, 127}, {-3, 3});
  // Counts outside of [0, bits) included.
  add_integer_binary(cases, OpId::shift_left, shift_left, {-128, 127}, {-2, 70});
  add_integer_binary(cases, OpId::shift_right, shift_right, {-128, 127}, {-2, 70});
  for (auto [op, f] : {std::pair<OpId, Binary>{OpId::bit_and, bit_and},
                       {OpId::bit_or, bit_or},
                       {OpId::bit_xor, bit_xor},
                       {OpId::eq, eq},
                       {OpId::ne, ne}})
    add_binary(cases, op, f, DType::boolean, {}, false);
  for (auto [op, f] :
       {std::pair<OpId, Binary>{OpId::eq, eq}, {OpId::ne, ne}, {OpId::lt, lt}, {OpId::le, le}})
    add_comparison(cases, op, f);
  for (auto [op, f] : {std::pair<OpId, Binary>{OpId::add, add},
                       {OpId::sub, sub},
                       {OpId::mul, mul},
                       {OpId::div, div},
                       {OpId::max, max},
                       {OpId::min, min},
                       {OpId::eq, eq},
                       {OpId::ne, ne},
                       {OpId::lt, lt},
                       {OpId::le, le}})
    add_special_values(cases, op, f);
}

void add_select_rows(Cases& cases) {
  for (DType t : {DType::f32, DType::f16, DType::i64, DType::u8, DType::boolean})
    cases.push_back({.op = OpId::select,
                     .name = fmt::format("select/{}", name(t)),
                     .build = [t](Graph& g, const Dim& n) -> Outputs {
                       const Expr c = in(g, {n, kRow}, DType::boolean);
                       const Expr a = in(g, {n, kRow}, t);
                       return {select(c, a, in(g, {n, kRow}, t))};
                     },
                     .tolerance = tolerance_of(t),
                     .differentiable = t == DType::f32});
  cases.push_back({OpId::select, "select/broadcast", [](Graph& g, const Dim& n) -> Outputs {
                     const Expr c = in(g, {n, 1}, DType::boolean);
                     const Expr a = in(g, {n, 5});
                     return {select(c, a, in(g, {}))};
                   }});
}

void add_source_rows(Cases& cases) {
  cases.push_back({OpId::parameter, "parameter/returned",
                   [](Graph& g, const Dim& n) -> Outputs { return {in(g, {n, 2})}; }});
  cases.push_back(
      {OpId::constant, "constant/splat_and_table", [](Graph& g, const Dim& n) -> Outputs {
         const Expr x = in(g, {n, 3});
         const Expr table = constant(g, Tensor::from<float>({3}, {1, -2, 0.5f}));
         const Expr splat = constant(g, Tensor::from<float>({1, 3}, {4, 4, 4}));
         return {x * table + splat * 3};
       }});
  cases.push_back({.op = OpId::constant,
                   .name = "constant/integers",
                   .build = [](Graph& g, const Dim& n) -> Outputs {
                     const Expr x = in(g, {n}, DType::i64);
                     // Not exact as a double.
                     return {x + constant(g, Tensor::scalar<int64_t>((int64_t{1} << 62) + 1))};
                   },
                   .differentiable = false});
  for (DType t : {DType::i64, DType::i8, DType::u32, DType::f32, DType::f16})
    cases.push_back({.op = OpId::iota,
                     .name = fmt::format("iota/{}", name(t)),
                     .build = [t](Graph& g, const Dim& n) -> Outputs {
                       return {in(g, {n, kRow}, t) + iota(g, t, {n, kRow}, 0),
                               iota(g, t, {n, kRow}, 1)};
                     },
                     .tolerance = tolerance_of(t),
                     .differentiable = t == DType::f32});
}

}  // namespace

void add_elementwise_cases(Cases& cases) {
  add_source_rows(cases);
  add_unary_rows(cases);
  add_cast_rows(cases);
  add_bitcast_rows(cases);
  add_binary_rows(cases);
  add_select_rows(cases);
}

}  // namespace lathe
