// Layers, losses and optimisers against numbers worked out by hand or by plain loops here.
#include "frontend/nn.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "backends/compile.h"
#include "frontend/losses.h"
#include "frontend/optimizers.h"
#include "ir/eval.h"
#include "passes/autodiff.h"
#include "passes/rebuild.h"
#include "passes/train_step.h"
#include "tests/support/expect_error.h"

namespace lathe {
namespace {

using nn::Mode;
using nn::Network;

const Dim kBatch = Dim::symbol("batch");

Tensor run(const Model& m, const Tensor& x, DimBinding dims = {}) {
  const Graph frozen = freeze(m);
  const Graph bound = free_symbols(frozen).empty() ? frozen : bind_dims(frozen, dims);
  return evaluate(bound, std::vector<Tensor>{x})[0];
}

void check_values(const Tensor& got, const std::vector<double>& want, double tolerance = 1e-6) {
  REQUIRE(got.size() == std::ssize(want));
  for (int64_t i = 0; i < got.size(); ++i)
    CHECK(std::abs(got.at(i) - want[static_cast<size_t>(i)]) <= tolerance);
}

double logistic(double x) { return 1 / (1 + std::exp(-x)); }

// A model whose recurrent weights are the same numbers for one unit and one feature.
Model one_unit(const std::function<Expr(Network&, const Expr&)>& layer, int64_t time,
               const std::map<std::string, std::vector<float>>& weights, bool masked = false) {
  Network net("rnn", Mode::Inference);
  const Expr x = net.input("x", DType::f32, {1, time, 1});
  if (masked) net.set_mask(x, squeeze(logical_not(eq(x, 0.0)), 2));
  const Expr y = layer(net, x);
  Model m = net.finish({y});
  for (const auto& [name, values] : weights)
    m.weights.set(name, Tensor::from<float>(m.weights.at(name).dims(), values));
  return m;
}

TEST_CASE("lstm computes gates in the order i, f, c, o and skips masked steps") {
  const std::map<std::string, std::vector<float>> weights = {
      {"l/kernel", {0.1f, 0.2f, 0.3f, 0.4f}},
      {"l/recurrent_kernel", {0.5f, -0.6f, 0.7f, 0.8f}},
      {"l/bias", {0.01f, 1.0f, -0.02f, 0.03f}}};
  const std::vector<float> xs = {1, 0, -2};
  const auto by_hand = [&](bool masked) {
    double h = 0, c = 0;
    std::vector<double> out;
    for (const double x : xs) {
      if (!masked || x != 0) {
        const double i = logistic(0.1 * x + 0.5 * h + 0.01), f = logistic(0.2 * x - 0.6 * h + 1);
        const double o = logistic(0.4 * x + 0.8 * h + 0.03);
        c = f * c + i * std::tanh(0.3 * x + 0.7 * h - 0.02);
        h = o * std::tanh(c);
      }
      out.push_back(h);
    }
    return out;
  };
  const Tensor x = Tensor::from<float>({1, 3, 1}, xs);
  for (const bool masked : {false, true}) {
    const Model sequences = one_unit(
        [](Network& net, const Expr& e) {
          return net.lstm(e, 1, {.return_sequences = true, .name = "l"});
        },
        3, weights, masked);
    check_values(run(sequences, x), by_hand(masked));
    const Model last =
        one_unit([](Network& net, const Expr& e) { return net.lstm(e, 1, {.name = "l"}); }, 3,
                 weights, masked);
    check_values(run(last, x), {by_hand(masked)[2]});
  }
  const Model backwards = one_unit(
      [](Network& net, const Expr& e) {
        return net.lstm(e, 1, {.return_sequences = true, .go_backwards = true, .name = "l"});
      },
      3, weights);
  check_values(run(backwards, Tensor::from<float>({1, 3, 1}, {-2, 0, 1})), by_hand(false));
}

TEST_CASE("gru resets before or after the recurrent product") {
  const std::vector<float> w = {0.1f, 0.2f, 0.3f}, u = {0.5f, -0.6f, 0.7f};
  for (const bool after : {false, true}) {
    const std::vector<float> bias = after ? std::vector<float>{0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f}
                                          : std::vector<float>{0.1f, 0.2f, 0.3f};
    const Model m =
        one_unit([&](Network& net,
                     const Expr& e) { return net.gru(e, 1, {.reset_after = after, .name = "g"}); },
                 2, {{"g/kernel", w}, {"g/recurrent_kernel", u}, {"g/bias", bias}});
    double h = 0;
    for (const double x : {1.0, -2.0}) {
      const double extra = after ? 1 : 0;
      const double z = logistic(0.1 * x + 0.1 + 0.5 * h + extra * 0.4);
      const double r = logistic(0.2 * x + 0.2 - 0.6 * h + extra * 0.5);
      const double inner = after ? r * (0.7 * h + 0.6) : 0.7 * (r * h);
      h = z * h + (1 - z) * std::tanh(0.3 * x + 0.3 + inner);
    }
    check_values(run(m, Tensor::from<float>({1, 2, 1}, {1, -2})), {h});
  }
}

TEST_CASE("embedding with mask_zero makes the average skip padding") {
  Network net("e", Mode::Inference);
  const Expr x = net.input("x", DType::i32, {kBatch, Dim::symbol("length")});
  const Expr e = net.embedding(x, 3, 1, {.mask_zero = true, .name = "e"});
  Model m = net.finish({net.global_average_pooling(e)});
  m.weights.set("e/embeddings", Tensor::from<float>({3, 1}, {9, 1, 4}));
  check_values(run(m, Tensor::from<int32_t>({1, 3}, {0, 1, 2}), {{"batch", 1}, {"length", 3}}),
               {2.5});
}

// Convolution by plain loops over an NHWC input, 'same' as TensorFlow defines it.
std::vector<double> plain_conv(const Tensor& x, const Tensor& k, int64_t stride, int64_t dilation,
                               bool same, int64_t groups) {
  const int64_t H = x.dims()[1], W = x.dims()[2], C = x.dims()[3];
  const int64_t kh = k.dims()[0], kw = k.dims()[1], cg = k.dims()[2], F = k.dims()[3];
  const auto axis = [&](int64_t size, int64_t taps) {
    const int64_t reach = (taps - 1) * dilation + 1;
    if (!same) return std::pair{(size - reach) / stride + 1, int64_t{0}};
    const int64_t count = (size + stride - 1) / stride;
    return std::pair{count, std::max<int64_t>((count - 1) * stride + reach - size, 0) / 2};
  };
  const auto [oh, top] = axis(H, kh);
  const auto [ow, left] = axis(W, kw);
  std::vector<double> out;
  for (int64_t r = 0; r < oh; ++r)
    for (int64_t c = 0; c < ow; ++c)
      for (int64_t f = 0; f < F; ++f) {
        double sum = 0;
        for (int64_t i = 0; i < kh; ++i)
          for (int64_t j = 0; j < kw; ++j)
            for (int64_t q = 0; q < cg; ++q) {
              const int64_t y = r * stride + i * dilation - top,
                            z = c * stride + j * dilation - left;
              if (y < 0 || z < 0 || y >= H || z >= W) continue;
              const int64_t channel = f / (F / groups) * cg + q;
              sum += x.at((y * W + z) * C + channel) * k.at(((i * kw + j) * cg + q) * F + f);
            }
        out.push_back(sum);
      }
  return out;
}

TEST_CASE("conv2d pads, strides, dilates and groups as TensorFlow does, in both layouts") {
  struct Case {
    int64_t stride, dilation, groups;
    bool same;
  };
  const Tensor x = initialize(init::random_uniform(-1, 1), {1, 5, 6, 4}, 1, "x");
  for (const Case& c : {Case{1, 1, 1, false},
                        {1, 1, 1, true},
                        {2, 1, 1, true},
                        {1, 2, 1, true},
                        {2, 1, 2, false},
                        {3, 1, 4, true}}) {
    const nn::ConvOptions options{.strides = {c.stride, c.stride},
                                  .padding = c.same ? nn::Padding::Same : nn::Padding::Valid,
                                  .dilation = {c.dilation, c.dilation},
                                  .groups = c.groups,
                                  .use_bias = false,
                                  .name = "c"};
    Network net("conv", Mode::Inference, 5);
    const Expr e = net.input("x", DType::f32, {kBatch, 5, 6, 4});
    nn::ConvOptions first = options;
    first.layout = nn::Layout::ChannelsFirst;
    const Expr turned = net.conv2d(transpose(e, {0, 3, 1, 2}), 4, {3, 2}, first);
    const Model m = net.finish({net.conv2d(e, 4, {3, 2}, options) - transpose(turned, {0, 2, 3, 1}),
                                net.conv2d(e, 4, {3, 2}, options)});
    const auto got = evaluate(bind_dims(freeze(m), {{"batch", 1}}), std::vector<Tensor>{x});
    check_values(got[1],
                 plain_conv(x, m.weights.at("c/kernel"), c.stride, c.dilation, c.same, c.groups));
    check_values(got[0], std::vector<double>(static_cast<size_t>(got[0].size()), 0));
  }
}

TEST_CASE("pooling with 'same' padding ignores what was added") {
  Network net("pool", Mode::Inference);
  const Expr x = net.input("x", DType::f32, {1, 3, 3, 1});
  const nn::PoolOptions same{.padding = nn::Padding::Same};
  const Model m =
      net.finish({concat({net.max_pooling_2d(x, same), net.average_pooling_2d(x, same)}, 3)});
  const Tensor in = Tensor::from<float>({1, 3, 3, 1}, {-1, -2, -3, -4, -5, -6, -7, -8, -9});
  check_values(run(m, in), {-1, -3, -3, -4.5, -7, -7.5, -9, -9});
}

TEST_CASE("batch normalisation in training uses the batch and updates its moving statistics") {
  Network net("bn", Mode::Training);
  const Expr x = net.input("x", DType::f32, {kBatch, 1});
  const Model m = net.finish({net.batch_normalization(x, {.momentum = 0.9, .name = "b"})});
  std::vector<Tensor> inputs;
  for (const GraphInput& in : m.graph.inputs())
    inputs.push_back(in.role == InputRole::Data ? Tensor::from<float>({2, 1}, {1, 5})
                                                : m.weights.at(in.name));
  const auto out = evaluate(bind_dims(m.graph, {{"batch", 2}}), inputs);
  REQUIRE(out.size() == 3);
  const double unit = 2 / std::sqrt(4 + 1e-3);
  check_values(out[0], {-unit, unit});
  for (size_t i = 1; i < 3; ++i) {
    const GraphOutput& o = m.graph.outputs()[i];
    REQUIRE(o.updates >= 0);
    CHECK(m.graph.inputs()[static_cast<size_t>(o.updates)].name == o.name);
    check_values(out[i], {o.name == "b/moving_mean" ? 0.3 : 0.9 + 0.4});
  }
}

TEST_CASE("dropout keeps the right share, scales it, and draws anew with each step") {
  Network net("d", Mode::Training, 7);
  const Expr x = net.input("x", DType::f32, {kBatch, 100});
  const Model m = net.finish({net.dropout(x, 0.25)});
  const Graph g = bind_dims(m.graph, {{"batch", 50}});
  const Tensor ones = initialize(init::ones(), {50, 100}, 0, "");
  const auto first = evaluate(g, std::vector<Tensor>{ones, Tensor::zeros(DType::u64, {})});
  REQUIRE(first.size() == 2);
  CHECK(first[1].at(0) == 1);
  int64_t kept = 0;
  for (int64_t i = 0; i < first[0].size(); ++i) {
    const double v = first[0].at(i);
    const bool dropped = v == 0;
    CHECK((dropped || v == doctest::Approx(4.0 / 3)));
    kept += dropped ? 0 : 1;
  }
  CHECK(std::abs(kept - 3750) < 150);  // 5 standard deviations
  CHECK_FALSE(identical(first[0], evaluate(g, std::vector<Tensor>{ones, first[1]})[0]));
  CHECK(identical(first[0],
                  evaluate(g, std::vector<Tensor>{ones, Tensor::zeros(DType::u64, {})})[0]));
}

TEST_CASE("initialisers have the moments they promise and depend on seed and name alone") {
  // The last has more vectors than are made orthogonal at once, and none of its sizes is even.
  for (const Dims& dims : {Dims{8, 32}, Dims{131, 259}}) {
    const Tensor q = initialize(init::orthogonal(), dims, 1, "q");
    double worst = 0;
    for (int64_t a = 0; a < dims[0]; ++a)
      for (int64_t b = 0; b <= a; ++b) {
        double dot = 0;
        for (int64_t i = 0; i < dims[1]; ++i) dot += q.at(a * dims[1] + i) * q.at(b * dims[1] + i);
        worst = std::max(worst, std::abs(dot - (a == b ? 1 : 0)));
      }
    CHECK(worst < 1e-6);
  }
  const Tensor he = initialize(init::he_normal(), {200, 100}, 1, "h");
  double squares = 0;
  for (int64_t i = 0; i < he.size(); ++i) squares += he.at(i) * he.at(i);
  CHECK(squares / 20000 == doctest::Approx(2.0 / 200).epsilon(0.05));
  const Tensor g = initialize(init::glorot_uniform(), {3, 3, 2, 4}, 1, "g");
  for (int64_t i = 0; i < g.size(); ++i) CHECK(std::abs(g.at(i)) <= std::sqrt(6.0 / (18 + 36)));
  CHECK(identical(he, initialize(init::he_normal(), {200, 100}, 1, "h")));
  CHECK_FALSE(identical(he, initialize(init::he_normal(), {200, 100}, 2, "h")));
  CHECK_FALSE(identical(he, initialize(init::he_normal(), {200, 100}, 1, "i")));
}

TEST_CASE("the gradient of softmax has no part for the maximum") {
  Graph g;
  const Expr p = nn::softmax(input(g, "z", {DType::f32, Shape{2, 5}}), {1});
  g.add_output("loss", reduce_sum(p * p, {0, 1}).value);
  const Graph gradient = gradient_graph(g, 0, {0});
  for (const Node& n : gradient.nodes()) CHECK(n.op != OpId::eq);
}

TEST_CASE("activations have Keras' values") {
  using A = nn::Activation;
  const std::vector<std::pair<A, double>> at_minus_one = {
      {A::Linear, -1},
      {A::Relu, 0},
      {A::LeakyRelu, -0.2},
      {A::Elu, std::exp(-1) - 1},
      {A::Selu, 1.0507009873554805 * 1.6732632423543772 * (std::exp(-1) - 1)},
      {A::Gelu, -0.5 * std::erfc(1 / std::sqrt(2))},
      {A::Sigmoid, logistic(-1)},
      {A::HardSigmoid, 1.0 / 3},
      {A::LegacyHardSigmoid, 0.3},
      {A::Tanh, std::tanh(-1)},
      {A::Softplus, std::log1p(std::exp(-1))},
      {A::Softsign, -0.5},
      {A::Swish, -logistic(-1)},
      {A::Exponential, std::exp(-1)},
  };
  for (const auto& [activation, want] : at_minus_one) {
    Graph g;
    g.add_output("y", nn::activate(activation, constant(g, Tensor::from<float>({1}, {-1}))).value);
    check_values(evaluate(g, std::vector<Tensor>{})[0], {want});
  }
}

TEST_CASE("gelu in f32 errs by 1.5e-7 at most, relative above 1") {
  constexpr int64_t kPoints = 100001;
  Tensor x = Tensor::empty(DType::f32, {kPoints});
  for (int64_t i = 0; i < kPoints; ++i) x.set(i, static_cast<double>(i - kPoints / 2) * 2e-4);
  Graph g;
  const Expr in = input(g, "x", {DType::f32, {kPoints}});
  g.add_output("y", nn::activate(nn::Activation::Gelu, in).value);
  const Tensor y = compile(g, compile_options())->run({x})[0];
  double worst = 0;
  for (int64_t i = 0; i < kPoints; ++i) {
    const double exact = 0.5 * x.at(i) * std::erfc(-x.at(i) / std::sqrt(2));
    worst = std::max(worst, std::abs(y.at(i) - exact) / std::max(1.0, std::abs(exact)));
  }
  CHECK(worst < 1.5e-7);
}

TEST_CASE("a network of every training feature becomes a step that lowers its loss") {
  Network net("all", Mode::Training, 3);
  const Expr x = net.input("x", DType::i32, {kBatch, Dim::symbol("length")});
  Expr h = net.embedding(x, 5, 4, {.mask_zero = true});
  h = net.dropout(h, 0.1);
  h = net.lstm(h, 3, {.return_sequences = true, .dropout = 0.1});
  h = net.gru(h, 3);
  h = net.batch_normalization(h);
  const Model m = net.finish({net.dense(h, 1, {.activation = nn::Activation::Sigmoid})});
  const Objective o = binary_crossentropy();
  const Graph step =
      bind_dims(train_step(m.graph, {.loss = o.loss,
                                     .accuracy = o.accuracy,
                                     .target = o.target(m.graph.type(m.graph.outputs()[0].value)),
                                     .optimizer = adam()}),
                {{"batch", 4}, {"length", 3}});
  std::vector<Tensor> inputs;
  for (const GraphInput& in : step.inputs()) {
    const Dims dims = in.type.shape.static_dims();
    if (in.name == "x")
      inputs.push_back(Tensor::from<int32_t>(dims, {0, 1, 2, 0, 0, 3, 1, 1, 4, 2, 3, 4}));
    else if (in.name == kTargetInput) inputs.push_back(Tensor::from<float>(dims, {0, 1, 0, 1}));
    else if (in.name == kLearningRateInput) inputs.push_back(Tensor::scalar<float>(0.05f));
    else if (m.weights.contains(in.name)) inputs.push_back(m.weights.at(in.name));
    else inputs.push_back(Tensor::zeros(in.type.dtype, dims));
  }
  double first = 0, last = 0;
  for (int t = 0; t < 40; ++t) {
    const auto out = evaluate(step, inputs);
    last = out[0].at(0);
    if (t == 0) first = last;
    for (size_t i = 0; i < out.size(); ++i)
      if (const int updated = step.outputs()[i].updates; updated >= 0)
        inputs[static_cast<size_t>(updated)] = out[i];
  }
  CHECK(std::isfinite(first));
  CHECK(last < 0.5 * first);
}

TEST_CASE("layers refuse inputs they cannot take, by name") {
  Network net("bad", Mode::Training);
  const Expr x = net.input("x", DType::f32, {kBatch, 4});
  expect_error([&] { net.lstm(x, 3, {.name = "l"}); }, {"'l'", "[batch, time, features]"});
  expect_error([&] { net.dense(x, 0, {.name = "d"}); }, {"'d'", "positive"});
  expect_error([&] { net.conv2d(x, 3, {1, 1}, {.name = "c"}); }, {"'c'", "4 axes"});
  expect_error([&] { net.dropout(x, 1, {.name = "o"}); }, {"'o'", "[0, 1)"});
  expect_error([&] { net.reshape(x, {3, -1}, "r"); }, {"node 'r'", "[batch,4]"});
  expect_error([&] { net.input("x", DType::f32, {1}); }, {"two inputs", "'x'"});
  net.dense(x, 3, {.name = "again"});
  expect_error([&] { net.dense(x, 5, {.name = "again"}); }, {"'again'", "f32[4,3]", "f32[4,5]"});
  net.batch_normalization(x, {.name = "b"});
  expect_error([&] { net.batch_normalization(x, {.name = "b"}); }, {"b/moving_mean", "twice"});
}

}  // namespace
}  // namespace lathe
