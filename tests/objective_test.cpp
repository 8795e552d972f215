// Losses, accuracies and optimisers against numbers worked out by hand.
#include <doctest/doctest.h>

#include <cmath>

#include "frontend/losses.h"
#include "frontend/nn/activation.h"
#include "frontend/optimizers.h"
#include "ir/eval.h"
#include "tests/support/expect_error.h"

namespace lathe {
namespace {

double loss_of(const Objective& o, const std::function<Expr(const Expr&)>& last, const Tensor& x,
               const Tensor& target, bool accuracy = false) {
  Graph g;
  const Expr p = last(constant(g, x)), y = constant(g, target);
  g.add_output("loss", (accuracy ? o.accuracy : o.loss)(p, y).value);
  return evaluate(g, std::vector<Tensor>{})[0].at(0);
}

TEST_CASE("losses and accuracies") {
  const auto same = [](const Expr& x) { return x; };
  const auto soft = [](const Expr& x) { return nn::softmax(x, {1}); };
  const Tensor z = Tensor::from<float>({2, 1}, {200, -1});
  const Tensor y = Tensor::from<float>({2}, {0, 1});
  // From a sigmoid's operand nothing overflows or is clipped.
  CHECK(loss_of(binary_crossentropy(), sigmoid, z, y) ==
        doctest::Approx((200 + std::log1p(std::exp(1))) / 2));
  CHECK(loss_of(binary_crossentropy(), same, Tensor::from<float>({2, 1}, {0, 0.25}), y) ==
        doctest::Approx(-std::log(0.25) / 2).epsilon(1e-5));
  CHECK(loss_of(binary_crossentropy(), same, Tensor::from<float>({2, 1}, {0.4f, 0.25}), y, true) ==
        0.5);
  const Tensor rows = Tensor::from<float>({2, 3}, {1, 2, 300, 0, 0, 0});
  const Tensor classes = Tensor::from<int32_t>({2}, {0, 1});
  const double want = (299 + std::log(3)) / 2;
  CHECK(loss_of(sparse_categorical_crossentropy(), soft, rows, classes) == doctest::Approx(want));
  CHECK(loss_of(sparse_categorical_crossentropy_from_logits(), same, rows, classes) ==
        doctest::Approx(want));
  CHECK(loss_of(categorical_crossentropy(), soft, rows,
                Tensor::from<float>({2, 3}, {1, 0, 0, 0, 1, 0})) == doctest::Approx(want));
  CHECK(loss_of(sparse_categorical_crossentropy(), soft, rows, Tensor::from<int32_t>({2}, {2, 1}),
                true) == 0.5);
  CHECK(loss_of(mean_squared_error(), same, z, Tensor::from<float>({2}, {198, 0})) ==
        doctest::Approx(2.5));
  expect_error([] { find_objective("bcee"); }, {"bcee", "binary_crossentropy"});
  expect_error([] { find_optimizer("lion"); }, {"lion", "adamw"});
}

// Parameter 1, gradients 0.5 then -1, rate 0.1.
double after_two_steps(const Optimizer& o) {
  Graph g;
  const auto number = [&](double v) {
    return constant(g, Tensor::from<float>({1}, {static_cast<float>(v)}));
  };
  Expr p = number(1);
  std::vector<Expr> slots(o.slots.size(), number(0));
  for (int t = 1; t <= 2; ++t) {
    const auto shared =
        o.prepare(constant(g, Tensor::scalar<double>(t)), constant(g, Tensor::scalar<float>(0.1f)));
    const auto next = o.update(p, number(t == 1 ? 0.5 : -1), slots, shared);
    REQUIRE(next.size() == slots.size() + 1);
    p = next[0];
    slots.assign(next.begin() + 1, next.end());
  }
  g.add_output("p", p.value);
  return evaluate(g, std::vector<Tensor>{})[0].at(0);
}

TEST_CASE("optimisers take Keras' steps") {
  const auto near = [](double v) { return doctest::Approx(v).epsilon(1e-5); };
  CHECK(after_two_steps(sgd()) == near(1 - 0.05 + 0.1));
  CHECK(after_two_steps(sgd({.momentum = 0.9})) == near(1 - 0.05 + (-0.9 * 0.05 + 0.1)));
  CHECK(after_two_steps(sgd({.momentum = 0.9, .nesterov = true})) ==
        near(1 - 0.05 * 1.9 + (0.9 * (-0.9 * 0.05 + 0.1) + 0.1)));
  const double m = 0.9 * 0.05 - 0.1, v = 0.999 * 0.00025 + 0.001;
  const double second = 0.1 * std::sqrt(1 - 0.999 * 0.999) / (1 - 0.81) * m / (std::sqrt(v) + 1e-7);
  CHECK(after_two_steps(adam()) == near(1 - 0.1 - second));
  const double keep = 1 - 0.1 * 0.004;
  CHECK(after_two_steps(adamw()) == near((keep - 0.1) * keep - second));
  const double r1 = 0.1 * 0.25, r2 = 0.9 * r1 + 0.1;
  CHECK(after_two_steps(rmsprop()) == near(1 - 0.05 / std::sqrt(r1 + 1e-7) + 0.1 / std::sqrt(r2)));
  CHECK(after_two_steps(adagrad()) == near(1 - 0.05 / std::sqrt(0.35) + 0.1 / std::sqrt(1.35)));
}

}  // namespace
}  // namespace lathe
