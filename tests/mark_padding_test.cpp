// Padding is left out of convolutions where literals show that it changes nothing, to the bit.
#include "passes/mark_padding.h"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "backends/compile.h"
#include "ir/expr.h"
#include "tests/support/fill.h"
#include "tests/support/kernel_run.h"

using namespace lathe;

namespace {

struct Layer {
  int64_t size = 7, window = 3, stride = 1, dilation = 1, filters = 40, channels = 9;
};

Dims weight_dims(const Layer& l) { return {l.filters, l.channels, l.window, l.window}; }

// [1, H, W, F] of an image that is channels last.
Expr convolution(const Expr& x, const Expr& weights, const Layer& l) {
  WindowAttrs a;
  a.kernel = {l.window, l.window}, a.stride = {l.stride, l.stride};
  a.dilation = {l.dilation, l.dilation};
  a.low = a.high = {l.window / 2 * l.dilation, l.window / 2 * l.dilation};
  return dot_general(windows(transpose(x, {0, 3, 1, 2}), a), weights,
                     {.lhs_contract = {1, 4, 5}, .rhs_contract = {1, 2, 3}, .dtype = DType::f32});
}

Expr image(Graph& g, const Layer& l) {
  return input(g, "x", {DType::f32, Shape({1, l.size, l.size, l.channels})});
}

using Epilogue = std::function<Expr(Graph& g, const Expr& sums)>;

int64_t columns(const Expr& x) { return x.shape().static_dims().back(); }

Expr literal(Graph& g, Tensor t) { return constant(g, std::move(t)); }

// A bias of noise, its first element `first`.
Epilogue biased(float first) {
  return [=](Graph& g, const Expr& sums) {
    Tensor bias = small_noise({columns(sums)}, 7);
    bias.mutable_data<float>()[0] = first;
    return max(sums + literal(g, bias), 0);
  };
}

Graph graph_of(const Layer& l, Tensor weights, const Epilogue& epilogue) {
  Graph g("padding");
  const Expr sums = convolution(image(g, l), literal(g, std::move(weights)), l);
  g.add_output("y", epilogue(g, sums).value);
  return g;
}

int marked(const Graph& g) {
  int n = 0;
  for (const Kernel& k : compile_program(g, compile_options()).kernels)
    for (const Reduction& r : k.reductions) n += r.padded ? 1 : 0;
  return n;
}

int marked(const Epilogue& epilogue) {
  const Layer l;
  return marked(graph_of(l, small_noise(weight_dims(l), 1), epilogue));
}

Tensor with_first(Tensor t, float first) {
  t.mutable_data<float>()[0] = first;
  return t;
}

}  // namespace

TEST_CASE("padding is left out where weights are finite and a bias follows that is never -0") {
  CHECK(marked(biased(1)) > 0);
  CHECK(marked(biased(0.0f)) > 0);
  CHECK(marked(biased(NAN)) > 0);
  CHECK(marked(biased(-0.0f)) == 0);
  const Layer l;
  for (const float wrong : {INFINITY, -INFINITY, NAN})
    CHECK(marked(graph_of(l, with_first(small_noise(weight_dims(l), 1), wrong), biased(1))) == 0);
}

TEST_CASE("what follows a sum may scale it, but not look at the sign of its zeros") {
  const auto row = [](Graph& g, const Expr& like, uint64_t seed) {
    return literal(g, small_noise({columns(like)}, seed));
  };
  CHECK(marked([&](Graph& g, const Expr& y) { return y * row(g, y, 2) + row(g, y, 3); }) > 0);
  CHECK(marked([&](Graph&, const Expr& y) { return abs(y); }) > 0);
  CHECK(marked([&](Graph&, const Expr& y) { return y; }) == 0);
  CHECK(marked([&](Graph&, const Expr& y) { return max(y, 0); }) == 0);
  CHECK(marked([&](Graph& g, const Expr& y) { return y * row(g, y, 2); }) == 0);
  CHECK(marked([&](Graph& g, const Expr& y) { return (y + row(g, y, 2)) * y; }) == 0);
  CHECK(marked([&](Graph& g, const Expr& y) {
          return y + input(g, "bias", {DType::f32, Shape({columns(y)})});
        }) == 0);
}

TEST_CASE("weights that are not literals keep their products by padding") {
  const Layer l;
  Graph g("padding");
  const Expr weights = input(g, "w", {DType::f32, Shape(weight_dims(l))});
  g.add_output("y", biased(1)(g, convolution(image(g, l), weights, l)).value);
  CHECK(marked(g) == 0);
}

TEST_CASE("convolutions that leave padding out give the interpreter's bits on every backend") {
  for (const Layer& l : {Layer{}, Layer{.size = 14, .filters = 64}, Layer{.size = 15, .stride = 2},
                         Layer{.size = 9, .window = 5}, Layer{.size = 11, .dilation = 2},
                         Layer{.size = 3, .window = 5, .dilation = 2}, Layer{.size = 1},
                         Layer{.size = 20, .filters = 7, .channels = 3}}) {
    const Graph g = graph_of(l, small_noise(weight_dims(l), 5), biased(0.5f));
    CHECK(marked(g) > 0);
    Random random(3);
    Tensor x = Tensor::zeros(DType::f32, {1, l.size, l.size, l.channels});
    fill(x, Fill::Wild, random);
    CompileOptions o = compile_options();
    o.wait_compile = true;
    o.backend = Backend::Interpreter;
    const std::vector<Tensor> expected = compile(g, o)->run({x});
    for (const Backend backend : {
#ifdef LATHE_WITH_LLVM
             Backend::Llvm,
#endif
             Backend::Simd})
      for (const int threads : {1, 2}) {
        o.backend = backend, o.threads = threads;
        CAPTURE(l.size);
        CAPTURE(l.window);
        CAPTURE(l.stride);
        CAPTURE(threads);
        CHECK(first_difference(compile(g, o)->run({x})[0], expected[0]) == -1);
      }
  }
}
