// Products of bytes: the same sums on every backend and instruction set, whatever the layout of the
// second factor, the signs and the schedule; and the pass that makes them of quantised numbers.
#include "ir/byte_product.h"

#include <doctest/doctest.h>

#include "backends/compile.h"
#include "ir/eval.h"
#include "ir/expr.h"
#include "passes/integer_products.h"
#include "passes/pipeline.h"
#include "passes/rules.h"
#include "runtime/cpu.h"
#include "tests/support/byte_kernel.h"
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
  if (native.isa >= Isa::avx2)
    out.push_back({{.isa = Isa::avx512, .vnni = true}, {.llvm = {.instructions = Isa::avx2}}});
  if (native.vnni) out.push_back({{.isa = Isa::avx512, .vnni = true}, {}});
  return out;
}

// Any byte, and the ends of the range often.
Tensor bytes(DType t, int64_t size, Random& random) {
  const int64_t low = t == DType::i8 ? -128 : 0, high = low + 255;
  Tensor out = Tensor::empty(t, {size});
  const int64_t extremes = random.pick<int64_t>({0, 10, 100});
  for (int64_t i = 0; i < size; ++i)
    out.set_int(i, random.percent(extremes) ? random.pick<int64_t>({low, high})
                                            : random.between(low, high));
  return out;
}

ByteShape random_shape(Random& random) {
  const std::vector<DType> types = {DType::i8, DType::u8};
  ByteShape s{random.between(1, 40), random.between(2, 90), random.between(1, 70)};
  s.a = random.pick(types), s.b = random.pick(types);
  s.b_transposed = random.percent(40);
  if (random.percent(50)) s.group = random.pick<int64_t>({2, 4});
  if (random.percent(40)) {
    s.taps = random.between(2, 3);
    if (random.percent(70)) s.fill = s.a == DType::i8 ? -128 : 255;
  }
  s.requantised = random.percent(40);
  return s;
}

KernelCase random_case(uint64_t seed) {
  Random random(seed);
  KernelCase c;
  c.kernel = byte_kernel(random_shape(random));
  c.kernel.label = fmt::format("byte product {}", seed);
  for (const Operand& o : c.kernel.operands)
    c.tensors.push_back(o.role == OperandRole::In ? bytes(o.dtype, o.size, random)
                                                  : Tensor::zeros(o.dtype, {o.size}));
  c.schedule = random_schedule(c.kernel, random.next());
  if (random.percent(70)) c.schedule.vector = 1;
  return c;
}

}  // namespace

TEST_CASE("products of bytes have the interpreter's bits on every backend") {
  std::vector<KernelCase> cases;
  for (uint64_t seed = 0; seed < kKernels; ++seed) cases.push_back(random_case(seed));
  const int64_t dots = climb_products(cases, machines(), " dot");
  if (dots >= 0) CHECK(dots > static_cast<int64_t>(kKernels));
}

namespace {

// q less its zero, in a type that holds the difference; and that times a scale.
Expr centred(const Expr& q, const Expr& zero, DType wide) {
  return cast(q, wide) - cast(zero, wide);
}
Expr real(const Expr& q, const Expr& zero, const Expr& scale) {
  return centred(q, zero, DType::f32) * scale;
}

Tensor random_bytes(DType t, const Dims& dims, uint64_t seed) {
  Random random(seed);
  return bytes(t, element_count(dims), random).reshaped(dims);
}
Expr literal(Graph& g, DType t, const Dims& dims, uint64_t seed) {
  return constant(g, random_bytes(t, dims, seed));
}
Expr number(Graph& g, DType t, double v) { return constant(g, Tensor::scalar_of(t, v)); }
Expr numbers(Graph& g, DType t, std::vector<double> values) {
  Tensor out = Tensor::empty(t, {std::ssize(values)});
  for (size_t i = 0; i < values.size(); ++i) out.set(static_cast<int64_t>(i), values[i]);
  return constant(g, std::move(out));
}

// Inputs are called x (bytes) and zero (a byte). Those that are f32 are floats until asked for.
struct Case {
  std::string name;
  TensorType x;
  Expr (*build)(Graph& g, const Expr& x, const Expr& zero);
  bool bytes;  // whether the pass makes a product of bytes
};

Expr product(const Expr& a, const Expr& b, DType t) {
  return dot_general(a, b, {.lhs_contract = {1}, .rhs_contract = {0}, .dtype = t});
}

// 3 x 3, padded by one; x is [1, channels, 7, 7].
Expr convolution(const Expr& x, const Expr& w, DType t) {
  WindowAttrs a;
  a.kernel = {3, 3}, a.stride = {1, 1}, a.dilation = {1, 1}, a.low = {1, 1}, a.high = {1, 1};
  return dot_general(windows(x, a), w,
                     {.lhs_contract = {1, 4, 5}, .rhs_contract = {1, 2, 3}, .dtype = t});
}

const Case kCases[] = {
    {"integers, a zero that is an input, weights in i8",
     {DType::u8, {9, 70}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       return product(
           centred(x, zero, DType::i16),
           centred(literal(g, DType::i8, {70, 40}, 1), number(g, DType::i8, 0), DType::i16),
           DType::i32);
     },
     true},
    {"integers, weights whose zero does not fit i8",
     {DType::u8, {9, 70}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       return product(
           centred(x, zero, DType::i16),
           centred(literal(g, DType::u8, {70, 40}, 2), number(g, DType::u8, 3), DType::i16),
           DType::i32);
     },
     true},
    {"integers, weights of u8 around 128",
     {DType::i8, {9, 70}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       return product(cast(x, DType::i16),
                      centred(transpose(literal(g, DType::u8, {40, 70}, 3), {1, 0}),
                              number(g, DType::u8, 128), DType::i16),
                      DType::i32) +
              cast(zero, DType::i32);
     },
     true},
    {"integers, a zero for each row",
     {DType::u8, {9, 70}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       return product(centred(x, expand_dims(literal(g, DType::u8, {9}, 4), 1), DType::i16),
                      cast(literal(g, DType::i8, {70, 40}, 5), DType::i16), DType::i32) +
              cast(zero, DType::i32);
     },
     false},
    {"integers, a padded convolution",
     {DType::u8, {1, 6, 7, 7}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       return convolution(centred(x, number(g, DType::u8, 117), DType::i16),
                          cast(literal(g, DType::i8, {40, 6, 3, 3}, 6), DType::i16), DType::i32) +
              cast(zero, DType::i32);
     },
     true},
    {"integers, a convolution padded by an input",
     {DType::u8, {1, 6, 7, 7}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       return convolution(centred(x, zero, DType::i16),
                          cast(literal(g, DType::i8, {40, 6, 3, 3}, 7), DType::i16), DType::i32);
     },
     false},
    {"floats, one scale",
     {DType::u8, {9, 70}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       return product(real(x, zero, number(g, DType::f32, 0.02)),
                      real(literal(g, DType::i8, {70, 40}, 8), number(g, DType::i8, 0),
                           number(g, DType::f32, 0.01)),
                      DType::f32);
     },
     true},
    {"floats, a scale for each column of transposed weights",
     {DType::i8, {9, 70}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       const Expr w = real(literal(g, DType::i8, {5, 70}, 9),
                           expand_dims(numbers(g, DType::i8, {0, 0, 0, 0, 0}), 1),
                           expand_dims(numbers(g, DType::f32, {0.1, 0.2, 0.3, 0.01, 0.5}), 1));
       return product(centred(x, zero, DType::f32) * 0.02, transpose(w, {1, 0}), DType::f32);
     },
     true},
    {"floats, a padded convolution, a scale for each channel",
     {DType::u8, {1, 6, 7, 7}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       const Expr scale = numbers(g, DType::f32, {0.1, 0.2, 0.3, 0.01, 0.5});
       const Expr y = convolution(
           real(x, number(g, DType::u8, 117), number(g, DType::f32, 0.02)),
           cast(literal(g, DType::i8, {5, 6, 3, 3}, 10), DType::f32) * reshape(scale, {5, 1, 1, 1}),
           DType::f32);
       return y + cast(zero, DType::f32);
     },
     true},
    {"floats, a scale for each step",
     {DType::u8, {9, 5}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       const Expr w = cast(literal(g, DType::i8, {5, 40}, 11), DType::f32) *
                      expand_dims(numbers(g, DType::f32, {0.1, 0.2, 0.3, 0.01, 0.5}), 1);
       return product(centred(x, zero, DType::f32), w, DType::f32);
     },
     false},
    {"floats, three columns",
     {DType::u8, {9, 70}},
     [](Graph& g, const Expr& x, const Expr& zero) {
       return product(centred(x, zero, DType::f32),
                      cast(literal(g, DType::i8, {70, 3}, 12), DType::f32), DType::f32);
     },
     false},
};

int byte_products(const Graph& g) {
  int n = 0;
  for (const Node& node : g.nodes()) {
    if (op_def(node.op).cls != OpClass::Contract) continue;
    const auto is_byte = [&](const Value& v) { return byte_size(g.type(v).dtype) == 1; };
    n += is_byte(node.operands[0]) && is_byte(node.operands[1]);
  }
  return n;
}

}  // namespace

TEST_CASE("products of quantised numbers become products of bytes, with the same results") {
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    Graph g("main");
    const Expr x = input(g, "x", c.x), zero = input(g, "zero", {c.x.dtype, Shape{}});
    g.add_output("y", c.build(g, x, zero).value);
    const bool real = g.type(g.outputs()[0].value).dtype == DType::f32;
    CHECK(byte_products(optimize(g)) == (c.bytes && !real ? 1 : 0));
    CHECK(byte_products(quantised_float_products(simplify(g))) == (c.bytes && real ? 1 : 0));
    const std::vector<Tensor> in = {random_bytes(c.x.dtype, c.x.shape.static_dims(), 20),
                                    Tensor::scalar_of(c.x.dtype, 101)};
    const Tensor expected = evaluate(g, in)[0];
    for (const Backend backend : {Backend::Interpreter, Backend::Simd, Backend::Auto})
      for (const int threads : {1, 2}) {
        CAPTURE(name(backend));
        CompileOptions options = compile_options();
        options.backend = backend;
        options.threads = threads;
        options.numerics = Numerics::Fast;
        const Tensor got = compile(g, options)->run(in)[0];
        if (!is_float(expected.dtype())) {
          CHECK(first_difference(got, expected) == -1);
          continue;
        }
        for (int64_t i = 0; i < got.size(); ++i)
          CHECK(got.at(i) == doctest::Approx(expected.at(i)).epsilon(1e-4).scale(1));
      }
  }
}
