// The xsimd backend against the scalar interpreter: every scalar on edge values, every reduction,
// core and memory pattern, on every ISA this CPU has.
#include "backends/simd/simd.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "backends/reference/interpreter.h"
#include "ir/scalar_eval.h"
#include "tests/support/kernel_run.h"

namespace lathe {
namespace {

constexpr DType kComputeTypes[] = {DType::f64, DType::f32, DType::i64,    DType::i32,
                                   DType::i16, DType::i8,  DType::u64,    DType::u32,
                                   DType::u16, DType::u8,  DType::boolean};

// Values at which implementations differ.
std::vector<double> edge_numbers() {
  const double inf = std::numeric_limits<double>::infinity();
  return {0.0,
          -0.0,
          1,
          -1,
          0.5,
          -0.5,
          1.5,
          -1.5,
          2.5,
          -2.5,
          2,
          -2,
          3,
          7,
          inf,
          -inf,
          NAN,
          1e-40,
          -3e-45,
          5e-324,
          3.4e38,
          1e300,
          65504,
          65520,
          127.5,
          128,
          255.9,
          -128.7,
          256,
          32767.5,
          -32769,
          65535.6,
          2147483520.0,
          2147483648.0,
          -2147483648.0,
          -2147483904.0,
          4294967040.0,
          4294967296.0,
          9.3e18,
          -9.3e18,
          1.9e19,
          8388609,
          16777217,
          0.1,
          1e-8,
          6e-8,
          5.9e-8};
}
std::vector<int64_t> edge_integers() {
  return {0,
          1,
          -1,
          2,
          -2,
          3,
          5,
          7,
          8,
          15,
          16,
          31,
          32,
          33,
          63,
          64,
          65,
          127,
          128,
          -128,
          -129,
          255,
          256,
          32767,
          -32768,
          65535,
          1000003,
          INT32_MAX,
          INT32_MIN,
          int64_t{UINT32_MAX},
          (int64_t{1} << 53) + 1,
          INT64_MAX,
          INT64_MIN,
          INT64_MAX - 1};
}

Tensor edge_values(DType t, int64_t n, int64_t stride) {
  Tensor out = Tensor::zeros(t, {n});
  const std::vector<double> numbers = edge_numbers();
  const std::vector<int64_t> integers = edge_integers();
  for (int64_t i = 0; i < n; ++i) {
    const auto at = static_cast<size_t>(i / stride);
    if (is_float(t)) out.set(i, numbers[at % numbers.size()]);
    else if (t == DType::boolean) out.set_int(i, static_cast<int64_t>(at % 2));
    else out.set_int(i, integers[at % integers.size()]);
  }
  return out;
}

Instr load(DType t, int operand, IndexExpr offset) {
  Instr in;
  in.op = Scalar::Load;
  in.type = t;
  in.access = {operand, std::move(offset), {}};
  return in;
}
Instr scalar_op(Scalar op, DType t, std::array<ScalarId, 3> args) {
  Instr in;
  in.op = op;
  in.type = t;
  in.args = args;
  return in;
}
Instr accumulator(DType t, int reduction = 0) {
  Instr in;
  in.op = Scalar::Acc;
  in.type = t;
  in.integer = reduction;
  return in;
}
IndexExpr term(SymbolId s, int64_t coefficient) { return IndexExpr::symbol(s) * coefficient; }

// Runs both backends on copies of `tensors` and compares the bits of every operand.
void check_same(const Kernel& k, const std::vector<Tensor>& tensors, const Target& target,
                const KernelSchedule& s = {}) {
  std::vector<Tensor> expected, got;
  for (const Tensor& t : tensors) expected.push_back(t.clone()), got.push_back(t.clone());
  auto reference = interpret_kernel(k, s, target);
  REQUIRE(reference.ok());
  auto simd = simd_kernel(k, s, target);
  REQUIRE(simd.ok());
  run_kernel(*reference, k, s, expected);
  run_kernel(*simd, k, s, got);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t at = first_difference(expected[i], got[i]);
    CAPTURE(i);
    CAPTURE(at);
    if (at >= 0) {
      CAPTURE(expected[i].at(at));
      CAPTURE(got[i].at(at));
      CHECK(at < 0);
    }
  }
}

// A map of one scalar over operands of `types`; operand i is the same for all elements if bit i of
// `uniform` is set.
Kernel scalar_kernel(Scalar op, const std::vector<DType>& types, DType result, int64_t n,
                     int uniform) {
  Kernel k;
  k.par = {n};
  std::array<ScalarId, 3> args = {-1, -1, -1};
  for (size_t i = 0; i < types.size(); ++i) {
    k.operands.push_back({types[i], n, OperandRole::In});
    const bool same = (uniform >> i & 1) != 0;
    args[i] = static_cast<ScalarId>(i);
    k.body.push_back(load(types[i], static_cast<int>(i), same ? IndexExpr(3) : term(0, 1)));
  }
  k.body.push_back(scalar_op(op, result, args));
  k.operands.push_back({result, n, OperandRole::Out});
  k.stores.push_back(
      {{static_cast<int>(types.size()), term(0, 1), {}}, static_cast<ScalarId>(types.size())});
  return k;
}

std::vector<DType> argument_types(Scalar op, DType t) {
  switch (info(op).operands) {
    case 1: return {t};
    case 2: return {t, op == Scalar::Scale2 ? (t == DType::f64 ? DType::i64 : DType::i32) : t};
    default: break;
  }
  if (op == Scalar::Select) return {DType::boolean, t, t};
  return {t, t, t};
}

Tensor operand_values(Scalar op, DType t, size_t i, int64_t n) {
  constexpr int64_t kStrides[] = {1, 47, 13};
  if (op != Scalar::Scale2) return edge_values(t, n, kStrides[i]);
  Tensor out = Tensor::zeros(t, {n});
  for (int64_t e = 0; e < n; ++e) {
    const auto m = static_cast<double>(e % 97);
    if (i == 0) out.set(e, (e % 2 == 0 ? 1 : -1) * (0.5 + 1.5 * m / 96));
    else out.set_int(e, t == DType::i32 ? e * 601 / n - 300 : e * 4401 / n - 2200);
  }
  return out;
}

void check_scalar(Scalar op, DType type, DType result, const Target& target) {
  const std::vector<DType> types = argument_types(op, type);
  constexpr int64_t n = 47 * 47 + 5;
  for (int uniform = 0; uniform < 1 << types.size(); ++uniform) {
    const Kernel k = scalar_kernel(op, types, result, n, uniform);
    std::vector<Tensor> tensors;
    for (size_t i = 0; i < types.size(); ++i) tensors.push_back(operand_values(op, types[i], i, n));
    tensors.push_back(Tensor::zeros(result, {n}));
    CAPTURE(name(op));
    CAPTURE(name(type));
    CAPTURE(name(result));
    CAPTURE(name(target.isa));
    CAPTURE(uniform);
    check_same(k, tensors, target);
  }
}

}  // namespace

TEST_CASE("every scalar has the interpreter's bits on edge values") {
  for (const Target& target : targets())
    for (int op = 0; op < kScalarCount; ++op) {
      const auto scalar = static_cast<Scalar>(op);
      if (info(scalar).operands == 0 || info(scalar).cls != ScalarClass::machine) continue;
      if (scalar == Scalar::Fma && !target.has_fma()) continue;
      for (DType arg : kComputeTypes)
        for (int r = 0; r < kDTypeCount; ++r) {
          const auto result = static_cast<DType>(r);
          if (scalar::scalar_function(scalar, arg, result) != nullptr)
            check_scalar(scalar, arg, result, target);
        }
    }
}

TEST_CASE("fma on sse42 is a product and a sum, each rounded") {
  Target target;
  target.isa = Isa::sse42;
  const Kernel k =
      scalar_kernel(Scalar::Fma, {DType::f32, DType::f32, DType::f32}, DType::f32, 5, 0);
  const std::vector<float> a = {1.1f, 3, 1e20f, -0.0f, 16777216}, b = {1.1f, 1 / 3.0f, 1e20f, 2, 3},
                           c = {-1.21f, -1, -1, 0, 1};
  std::vector<Tensor> t = {Tensor::from<float>({5}, a), Tensor::from<float>({5}, b),
                           Tensor::from<float>({5}, c), Tensor::zeros(DType::f32, {5})};
  auto simd = simd_kernel(k, {}, target);
  REQUIRE(simd.ok());
  run_kernel(*simd, k, {}, t);
  for (size_t i = 0; i < 5; ++i) {
    const float product = a[i] * b[i];
    CHECK(t[3].data<float>()[i] == product + c[i]);
  }
}

TEST_CASE("a 16-bit float is widened on load and rounded on store") {
  for (const Target& target : targets())
    for (DType t : {DType::f16, DType::bf16})
      for (int64_t step : {1, 3}) {
        constexpr int64_t n = 301;
        Kernel k;
        k.par = {n};
        k.operands = {{t, n * step, OperandRole::In}, {t, n * step, OperandRole::InOut}};
        k.body = {load(t, 0, term(0, step)), load(t, 1, term(0, step)),
                  scalar_op(Scalar::Mul, DType::f32, {0, 1, -1})};
        k.stores = {{{1, term(0, step), {}}, 2}};
        check_same(k, {edge_values(t, n * step, 1), edge_values(t, n * step, 7)}, target);
      }
}

namespace {

// out[i] = reduction over [outer, inner] of a[i, o, r] (times b for Fma).
Kernel reduction_kernel(DType t, Combine combine, Order order, int64_t points, int64_t outer,
                        int64_t inner, bool transposed) {
  Kernel k;
  k.core = Core::Reduce;
  k.order = order;
  k.par = {points};
  k.red = {outer, inner};
  const int64_t size = points * outer * inner;
  k.operands = {
      {t, size, OperandRole::In}, {t, size, OperandRole::In}, {t, points, OperandRole::Out}};
  const IndexExpr at = transposed ? term(0, 1) + term(1, inner * points) + term(2, points)
                                  : term(0, outer * inner) + term(1, inner) + term(2, 1);
  k.body = {load(t, 0, at), load(t, 1, at), accumulator(t)};
  k.pre = 2;
  k.reductions = {{combine, t, 0, combine == Combine::Fma ? 1 : -1}};
  k.stores = {{{2, term(0, 1), {}}, 2}};
  return k;
}

}  // namespace

TEST_CASE("reductions of every type and order have the interpreter's bits") {
  constexpr Combine kCombines[] = {Combine::Add, Combine::Max, Combine::Min, Combine::Mul,
                                   Combine::And, Combine::Or,  Combine::Fma};
  for (const Target& target : targets())
    for (Combine combine : kCombines)
      for (DType t : kComputeTypes) {
        if (scalar::combine_function(combine, t) == nullptr) continue;
        if (combine == Combine::Fma && is_float(t) && !target.has_fma()) continue;
        if (scalar::combine_function(scalar::join(combine), t) == nullptr) continue;
        for (Order order : {Order::Sequential, Order::Lanes})
          for (int64_t inner : {1, 5, 32, 33, 700})
            for (bool transposed : {false, true}) {
              const int64_t points = inner == 700 ? 3 : 70;
              const Kernel k = reduction_kernel(t, combine, order, points, 2, inner, transposed);
              CAPTURE(name(target.isa));
              CAPTURE(static_cast<int>(combine));
              CAPTURE(name(t));
              CAPTURE(static_cast<int>(order));
              CAPTURE(inner);
              CAPTURE(transposed);
              const int64_t size = points * 2 * inner;
              check_same(
                  k, {edge_values(t, size, 5), edge_values(t, size, 3), Tensor::zeros(t, {points})},
                  target);
            }
      }
}

TEST_CASE("an empty reduction gives the identity") {
  for (const Target& target : targets())
    check_same(reduction_kernel(DType::f32, Combine::Max, Order::Sequential, 40, 2, 0, false),
               {Tensor::zeros(DType::f32, {1}), Tensor::zeros(DType::f32, {1}),
                Tensor::zeros(DType::f32, {40})},
               target);
}

TEST_CASE("guards, strides, derived symbols and indirect offsets reach the same elements") {
  for (const Target& target : targets())
    for (int64_t step : {1, 2, -1, 0}) {
      constexpr int64_t rows = 6, columns = 90, size = 4000;
      Kernel k;
      k.par = {rows, columns};
      k.operands = {{DType::f32, size, OperandRole::In},
                    {DType::i32, columns, OperandRole::In},
                    {DType::f32, rows * columns, OperandRole::Out},
                    {DType::boolean, rows * columns, OperandRole::Out}};
      k.derived = {{term(0, 3) + term(1, 1), 7}, {term(0, 1), 2}};
      const SymbolId d0 = k.derived_symbol(0), d1 = k.derived_symbol(1);
      k.guards = {{term(0, 5) + term(1, step) + IndexExpr(-3), 60, 1},
                  {term(1, 1) + IndexExpr(-4), 80, 3},
                  {term(d0, 1) + IndexExpr(-1), 9, 1}};
      k.body = {load(DType::f32, 0, term(0, 100) + term(1, step) + IndexExpr(200)),
                load(DType::f32, 0, term(d0, 5) + term(d1, 7) + IndexExpr(1)),
                load(DType::i32, 1, term(1, 1)),
                load(DType::f32, 0, term(0, 3)),
                scalar_op(Scalar::Add, DType::f32, {0, 1, -1}),
                scalar_op(Scalar::Sub, DType::f32, {4, 3, -1}),
                scalar_op(Scalar::GuardTest, DType::boolean, {-1, -1, -1})};
      k.body[0].guards = {0};
      k.body[1].guards = {1, 0};
      k.body[3].access.indirect = {{2, 4}};
      k.body[3].guards = {2};
      k.body[6].guards = {0, 1, 2};
      k.stores = {{{2, term(0, 1) + term(1, rows), {}}, 5},
                  {{3, term(0, columns) + term(1, 1), {}}, 6}};
      Tensor data = Tensor::zeros(DType::f32, {size});
      for (int64_t i = 0; i < size; ++i) data.set(i, static_cast<double>(i) * 0.37 + 1);
      Tensor indices = Tensor::zeros(DType::i32, {columns});
      for (int64_t i = 0; i < columns; ++i) indices.set_int(i, i * 37 % 100);
      for (int parallel : {-1, 0, 1}) {
        CAPTURE(name(target.isa));
        CAPTURE(step);
        CAPTURE(parallel);
        KernelSchedule s;
        s.parallel = parallel;
        s.grain = 5;
        check_same(k,
                   {data, indices, Tensor::zeros(DType::f32, {rows * columns}),
                    Tensor::zeros(DType::boolean, {rows * columns})},
                   target, s);
      }
    }
}

TEST_CASE("running sums and scattered sums keep their order") {
  for (const Target& target : targets()) {
    constexpr int64_t points = 75, steps = 40;
    for (bool exclusive : {false, true}) {
      Kernel k;
      k.core = Core::Cumulative;
      k.exclusive = exclusive;
      k.par = {points};
      k.red = {steps};
      k.operands = {{DType::f32, points * steps, OperandRole::InOut}};
      const IndexExpr at = term(0, 1) + term(1, points);
      k.body = {load(DType::f32, 0, at), accumulator(DType::f32)};
      k.pre = 1;
      k.reductions = {{Combine::Add, DType::f32, 0, -1}};
      k.stores = {{{0, at, {}}, 1}};
      check_same(k, {edge_values(DType::f32, points * steps, 3)}, target);
    }
    for (DType t : {DType::f32, DType::f16, DType::i32}) {
      Kernel k;
      k.core = Core::Scatter;
      k.par = {points};
      k.red = {steps};
      k.operands = {{t, points * steps, OperandRole::In},
                    {DType::i64, steps, OperandRole::In},
                    {t, points * 7, OperandRole::InOut}};
      k.body = {load(t, 0, term(0, 1) + term(1, points)),
                load(DType::i64, 1, term(1, 1)),
                scalar_op(Scalar::Const, DType::i64, {-1, -1, -1}),
                scalar_op(Scalar::Const, DType::i64, {-1, -1, -1}),
                scalar_op(Scalar::Max, DType::i64, {1, 2, -1}),
                scalar_op(Scalar::Min, DType::i64, {4, 3, -1})};
      k.body[3].integer = 6;
      k.pre = 6;
      k.stores = {{{2, term(0, 1), {{5, points}}}, 0, Combine::Add}};
      Tensor indices = Tensor::zeros(DType::i64, {steps});
      for (int64_t i = 0; i < steps; ++i) indices.set_int(i, i * i % 7);
      check_same(k, {edge_values(t, points * steps, 11), indices, Tensor::zeros(t, {points * 7})},
                 target);
    }
  }
}

namespace {

// out[m, n] = max(sum over k of a[..] * b[..] + bias[n], 0), one batch after the other. `ta`, `tb`:
// the factor is stored with k outermost (a) or innermost (b).
struct Product {
  int64_t batch, m, n, k;
  bool ta, tb;
};
Kernel product_kernel(const Product& p) {
  Kernel k;
  k.core = Core::Reduce;
  k.par = {p.batch, p.m, p.n};
  k.red = {p.k};
  k.operands = {{DType::f32, p.batch * p.m * p.k, OperandRole::In},
                {DType::f32, p.batch * p.k * p.n, OperandRole::In},
                {DType::f32, p.n, OperandRole::In},
                {DType::f32, p.batch * p.m * p.n, OperandRole::Out}};
  const IndexExpr a = p.ta ? term(1, 1) + term(3, p.m) : term(1, p.k) + term(3, 1);
  const IndexExpr b = p.tb ? term(2, p.k) + term(3, 1) : term(2, 1) + term(3, p.n);
  k.body = {load(DType::f32, 0, term(0, p.m * p.k) + a),
            load(DType::f32, 1, term(0, p.k * p.n) + b),
            load(DType::f32, 2, term(2, 1)),
            accumulator(DType::f32),
            scalar_op(Scalar::Add, DType::f32, {3, 2, -1}),
            scalar_op(Scalar::Const, DType::f32, {-1, -1, -1}),
            scalar_op(Scalar::Max, DType::f32, {4, 5, -1})};
  k.pre = 2;
  k.reductions = {{Combine::Fma, DType::f32, 0, 1}};
  k.stores = {{{3, term(0, p.m * p.n) + term(1, p.n) + term(2, 1), {}}, 6}};
  return k;
}

Tensor noise(int64_t n, uint32_t seed) {
  Tensor t = Tensor::zeros(DType::f32, {n});
  for (int64_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    t.set(i, static_cast<double>(seed >> 8) / (1 << 23) - 1);
  }
  return t;
}

}  // namespace

TEST_CASE("contractions of every layout and edge have the interpreter's bits") {
  for (const Target& target : targets()) {
    if (!target.has_fma()) continue;
    for (const Product& shape :
         {Product{1, 1, 300, 20, false, false}, Product{1, 7, 10, 33, false, false},
          Product{1, 70, 270, 5, false, false}, Product{3, 13, 33, 17, false, false},
          Product{1, 25, 16, 4100, false, false}, Product{1, 9, 64, 768, false, false}})
      for (int layout = 0; layout < 4; ++layout)
        for (int parallel : {-1, 0, 1, 2}) {
          Product p = shape;
          p.ta = (layout & 1) != 0, p.tb = (layout & 2) != 0;
          if (shape.k > 1000 && parallel > 0) continue;
          const Kernel k = product_kernel(p);
          KernelSchedule s;
          s.parallel = parallel;
          s.grain = 6;
          CAPTURE(name(target.isa));
          CAPTURE(p.m);
          CAPTURE(p.n);
          CAPTURE(p.k);
          CAPTURE(layout);
          CAPTURE(parallel);
          auto compiled = simd_kernel(k, s, target);
          REQUIRE(compiled.ok());
          CHECK(compiled->implementation.find("contract") != std::string::npos);
          check_same(k,
                     {noise(p.batch * p.m * p.k, 1), noise(p.batch * p.k * p.n, 2), noise(p.n, 3),
                      Tensor::zeros(DType::f32, {p.batch * p.m * p.n})},
                     target, s);
        }
  }
}

TEST_CASE("a convolution without padding is a contraction over several reduction ivs") {
  for (const Target& target : targets()) {
    if (!target.has_fma()) continue;
    constexpr int64_t size = 12, in = 3, out = 20, taps = 3, width = size - taps + 1;
    Kernel k;  // out[o, y, x] = sum of image[c, y + i, x + j] * weights[o, c, i, j]
    k.core = Core::Reduce;
    k.par = {out, width, width};
    k.red = {in, taps, taps};
    k.operands = {{DType::f32, in * size * size, OperandRole::In},
                  {DType::f32, out * in * taps * taps, OperandRole::In},
                  {DType::f32, out * width * width, OperandRole::Out}};
    k.body = {load(DType::f32, 0,
                   term(1, size) + term(2, 1) + term(3, size * size) + term(4, size) + term(5, 1)),
              load(DType::f32, 1,
                   term(0, in * taps * taps) + term(3, taps * taps) + term(4, taps) + term(5, 1)),
              accumulator(DType::f32)};
    k.pre = 2;
    k.reductions = {{Combine::Fma, DType::f32, 0, 1}};
    k.stores = {{{2, term(0, width * width) + term(1, width) + term(2, 1), {}}, 2}};
    check_same(k,
               {noise(in * size * size, 4), noise(out * in * taps * taps, 5),
                Tensor::zeros(DType::f32, {out * width * width})},
               target);
  }
}

TEST_CASE("an index value and constants fill a tensor") {
  for (const Target& target : targets())
    for (DType t : {DType::f32, DType::i8, DType::i64, DType::f64}) {
      Kernel k;
      k.par = {3, 50, 1, 7};
      k.operands = {{t, 3 * 50 * 7, OperandRole::Out}};
      k.body = {scalar_op(Scalar::IndexValue, t, {-1, -1, -1}),
                scalar_op(Scalar::Const, compute_type(t), {-1, -1, -1}),
                scalar_op(Scalar::Sub, compute_type(t), {0, 1, -1})};
      k.body[0].index = term(0, 1000) + term(1, 7) + term(3, 1);
      if (is_float(t)) k.body[1].number = 2.5;
      else k.body[1].integer = 2;
      k.stores = {{{0, term(0, 350) + term(1, 7) + term(3, 1), {}}, 2}};
      check_same(k, {Tensor::zeros(t, {3 * 50 * 7})}, target);
    }
}

}  // namespace lathe
