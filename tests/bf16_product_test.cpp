// Products of bf16: the same sums on every backend and instruction set, the machine's own
// instruction among them, whatever the values, the layout of the second factor and the schedule.
#include <doctest/doctest.h>

#include <cmath>

#include "backends/compile.h"
#include "ir/eval.h"
#include "ir/expr.h"
#include "ir/pair_product.h"
#include "ir/scalar_eval.h"
#include "passes/pipeline.h"
#include "passes/rules.h"
#include "runtime/cpu.h"
#include "tests/support/bf16_kernel.h"
#include "tests/support/effort.h"
#include "tests/support/kernel_gen.h"
#include "tests/support/kernel_run.h"
#include "tests/support/product_climb.h"
#include "tests/support/random.h"

using namespace lathe;

namespace {

constexpr uint64_t kKernels = testing::random_cases(240);

std::vector<ProductMachine> machines() {
  const Target native = detect_cpu().native;
  std::vector<ProductMachine> out;
  for (const Isa isa : {Isa::sse42, Isa::avx2, Isa::avx512})
    if (isa <= native.isa) out.push_back({{.isa = isa}, {}});
  // Code that flushes by itself, for the CPU's mode is used only where vectors are its own.
  if (native.isa >= Isa::avx2)
    out.push_back({{.isa = Isa::avx512}, {.llvm = {.instructions = Isa::avx2}}});
  if (native.bf16) out.push_back({{.isa = Isa::avx512, .bf16 = true}, {}});
  return out;
}

// What a test fills its factors with. Without FMA only products that are exact in f32 agree.
enum class Values : uint8_t { moderate, any_bits, near_least };

uint16_t random_bf16(Values values, Random& random) {
  const auto of = [&](int64_t exponent) {
    return static_cast<uint16_t>(random.between(0, 1) << 15 | exponent << 7 |
                                 random.between(0, 127));
  };
  switch (values) {
    case Values::moderate: return of(random.between(120, 134));
    case Values::any_bits:
      if (random.percent(90)) return of(random.between(100, 150));
      return static_cast<uint16_t>(random.next());
    // Products around 2^-126, some of which cancel in part, and subnormals.
    case Values::near_least:
      return of(random.percent(5) ? random.between(0, 1) : random.between(58, 66));
  }
  __builtin_unreachable();
}

Tensor random_tensor(const Operand& o, Values values, Random& random) {
  Tensor out = Tensor::zeros(o.dtype, {o.size});
  if (o.role != OperandRole::In) return out;
  auto* bits = static_cast<uint16_t*>(out.mutable_raw());
  for (int64_t i = 0; i < o.size; ++i)
    if (!random.percent(5)) bits[i] = random_bf16(values, random);
  return out;
}

struct Case {
  KernelCase c;
  Values values;
};

Case random_case(uint64_t seed) {
  Random random(seed);
  Bf16Shape s{random.between(1, 40), random.between(2, 90), random.between(1, 70)};
  s.b_transposed = random.percent(40);
  s.interleaved = random.percent(40);
  if (random.percent(30)) s.taps = random.between(2, 3);
  s.halved = random.percent(30);
  Case out;
  out.values = random.pick<Values>({Values::moderate, Values::any_bits, Values::near_least});
  KernelCase& c = out.c;
  c.kernel = bf16_kernel(s);
  c.kernel.label = fmt::format("bf16 product {}", seed);
  for (const Operand& o : c.kernel.operands)
    c.tensors.push_back(random_tensor(o, out.values, random));
  c.schedule = random_schedule(c.kernel, random.next());
  if (random.percent(70)) c.schedule.vector = 1;
  return out;
}

}  // namespace

TEST_CASE("fma_flush takes and gives zeros for subnormals, tiny after rounding") {
  using scalar::fma_flush;
  const float least = 0x1p-126f, sub = 0x1p-127f, inf = INFINITY;
  CHECK(fma_flush(3, 5, 7) == 22);
  CHECK(fma_flush(sub, 0x1p100f, 1) == 1);
  CHECK(fma_flush(0x1p100f, -sub, 1) == 1);
  const float negative = fma_flush(-0x1p-100f, 0x1p-100f, 0);
  CHECK((negative == 0 && std::signbit(negative)));
  CHECK(fma_flush(0x1p-63f, 0x1p-63f, 0) == least);
  // least - 2^-150 has 24 bits and is too small; less by half as much it rounds to `least`.
  CHECK(fma_flush(-0x1p-75f, 0x1p-75f, least) == 0);
  CHECK(fma_flush(-0x1p-76f, 0x1p-75f, least) == least);
  CHECK(fma_flush(0x1p127f, 2, -0x1p100f) == inf);
  CHECK(fma_flush(0x1p127f, 0x1p-126f, -2) == 0);
  CHECK(std::isnan(fma_flush(inf, sub, 1)));
}

TEST_CASE("products of bf16 have the interpreter's bits on every backend") {
  std::vector<KernelCase> cases;
  std::vector<Values> values;
  for (uint64_t seed = 0; seed < kKernels; ++seed) {
    Case drawn = random_case(seed);
    CHECK(pair_product(drawn.c.kernel, 1).has_value());
    cases.push_back(std::move(drawn.c));
    values.push_back(drawn.values);
  }
  const auto agrees = [&](const Target& target, size_t k) {
    return target.has_fma() || values[k] == Values::moderate;
  };
  const int64_t dots = climb_products(cases, machines(), " dot2", agrees);
  if (dots >= 0 && detect_cpu().native.bf16) CHECK(dots > static_cast<int64_t>(kKernels / 2));
}

namespace {

Tensor random_factor(const Dims& dims, uint64_t seed) {
  Random random(seed);
  return random_tensor({DType::bf16, element_count(dims), OperandRole::In}, Values::moderate,
                       random)
      .reshaped(dims);
}

using Build = Expr (*)(const Expr& x, const Expr& w, DType t);

Expr product(const Expr& x, const Expr& w, DType t) {
  return dot_general(x, w, {.lhs_contract = {1}, .rhs_contract = {0}, .dtype = t});
}

struct Model {
  std::string name;
  Dims x, w;
  Build build;
};

const Model kModels[] = {
    {"odd sizes", {13, 71}, {71, 83}, product},
    {"one row", {1, 70}, {70, 150}, product},
    {"a literal in two panels and a rest", {9, 33}, {33, 75}, product},
    {"transposed weights",
     {13, 71},
     {83, 71},
     [](const Expr& x, const Expr& w, DType t) {
       return dot_general(x, w, {.lhs_contract = {1}, .rhs_contract = {1}, .dtype = t});
     }},
    {"widened before",
     {13, 70},
     {70, 83},
     [](const Expr& x, const Expr& w, DType t) {
       return product(cast(x, DType::f32), cast(w, DType::f32), t);
     }},
    {"a batch of two",
     {2, 7, 19},
     {2, 19, 35},
     [](const Expr& x, const Expr& w, DType t) {
       return dot_general(x, w,
                          {.lhs_batch = {0},
                           .rhs_batch = {0},
                           .lhs_contract = {2},
                           .rhs_contract = {1},
                           .dtype = t});
     }},
    {"a padded convolution",
     {1, 3, 9, 9},
     {20, 3, 3, 3},
     [](const Expr& x, const Expr& w, DType t) {
       WindowAttrs a;
       a.kernel = {3, 3}, a.stride = {1, 1}, a.dilation = {1, 1}, a.low = {1, 1}, a.high = {1, 1};
       return dot_general(windows(x, a), w,
                          {.lhs_contract = {1, 4, 5}, .rhs_contract = {1, 2, 3}, .dtype = t});
     }},
};

Graph model_graph(const Model& model, bool literal, DType t) {
  Graph g("main");
  const Expr x = input(g, "x", {DType::bf16, Shape(model.x)});
  const Expr w = literal ? constant(g, random_factor(model.w, 2))
                         : input(g, "w", {DType::bf16, Shape(model.w)});
  g.add_output("y", (model.build(x, w, t) * 0.5).value);
  return g;
}

}  // namespace

TEST_CASE("models that multiply bf16 give the same bits on every backend") {
  for (const Model& model : kModels)
    for (const bool literal : {false, true})
      for (const DType t : {DType::f32, DType::bf16}) {
        CAPTURE(model.name);
        CAPTURE(literal);
        CAPTURE(name(t));
        const Graph g = model_graph(model, literal, t);
        std::vector<Tensor> in = {random_factor(model.x, 1)};
        if (!literal) in.push_back(random_factor(model.w, 2));
        const Tensor exact = evaluate(g, in)[0];
        CompileOptions options = compile_options();
        options.backend = Backend::Interpreter;
        const Tensor expected = compile(g, options)->run(in)[0];
        for (int64_t i = 0; i < exact.size(); ++i)
          CHECK(expected.at(i) ==
                doctest::Approx(exact.at(i)).epsilon(t == DType::bf16 ? 1e-2 : 1e-4).scale(100));
        for (const Backend backend : {Backend::Simd, Backend::Auto})
          for (const int threads : {1, 2}) {
            CAPTURE(name(backend));
            options.backend = backend;
            options.threads = threads;
            CHECK(first_difference(compile(g, options)->run(in)[0], expected) == -1);
          }
      }
}

TEST_CASE("f32 that was bf16 is multiplied as bf16, other f32 is not") {
  Graph g("main");
  const Expr x = input(g, "x", {DType::bf16, {5, 7}}), y = input(g, "y", {DType::f32, {7, 9}});
  const Expr w = input(g, "w", {DType::bf16, {7, 9}});
  const auto factors = [&](const Expr& e) {
    g.add_output("out", e.value);
    const Graph simple = simplify(g);
    g.set_outputs({});
    for (const Node& n : simple.nodes())
      if (n.op == OpId::dot_general)
        return std::pair(simple.type(n.operands[0]).dtype, simple.type(n.operands[1]).dtype);
    return std::pair(DType::boolean, DType::boolean);
  };
  const auto wide = [](const Expr& e) { return cast(e, DType::f32); };
  CHECK(factors(product(wide(x), wide(w), DType::f32)) == std::pair(DType::bf16, DType::bf16));
  CHECK(factors(product(wide(x), y, DType::f32)) == std::pair(DType::f32, DType::f32));
  CHECK(factors(product(cast(x, DType::f64), cast(w, DType::f64), DType::f64)) ==
        std::pair(DType::f64, DType::f64));
}
