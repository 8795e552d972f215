#include "frontend/optimizers.h"

namespace lathe {
namespace {

using Exprs = std::vector<Expr>;

// Corrects for moments that began at zero; in f64, since 1 - beta_2^t cancels for small t.
Expr adam_rate(const Expr& step, const Expr& rate, const AdamOptions& o) {
  const auto missing = [&](double beta) { return 1.0 - pow(full_like(step, beta), step); };
  const Expr alpha = cast(rate, DType::f64) * sqrt(missing(o.beta_2)) / missing(o.beta_1);
  return cast(alpha, DType::f32);
}

Exprs adam_update(const Expr& p, const Expr& g, const Exprs& slots, const Expr& alpha,
                  const AdamOptions& o) {
  const Expr m = slots[0] + (g - slots[0]) * (1 - o.beta_1);
  const Expr v = slots[1] + (g * g - slots[1]) * (1 - o.beta_2);
  return {p - m * alpha / (sqrt(v) + o.epsilon), m, v};
}

Exprs rate_alone(const Expr&, const Expr& rate) { return {rate}; }

struct Row {
  std::string_view name;
  Optimizer (*make)();
};
constexpr Row kOptimizers[] = {
    {"sgd", [] { return sgd(); }},         {"adam", [] { return adam(); }},
    {"adamw", [] { return adamw(); }},     {"rmsprop", [] { return rmsprop(); }},
    {"adagrad", [] { return adagrad(); }},
};

}  // namespace

Optimizer sgd(const SgdOptions& o) {
  if (o.momentum == 0)
    return {.name = "sgd",
            .slots = {},
            .prepare = rate_alone,
            .update = [](const Expr& p, const Expr& g, const Exprs&, const Exprs& shared) {
              return Exprs{p - g * shared[0]};
            }};
  return {.name = "sgd",
          .slots = {"momentum"},
          .prepare = rate_alone,
          .update = [o](const Expr& p, const Expr& g, const Exprs& slots, const Exprs& shared) {
            const Expr step = g * shared[0], m = slots[0] * o.momentum - step;
            return Exprs{p + (o.nesterov ? m * o.momentum - step : m), m};
          }};
}

Optimizer adam(const AdamOptions& o) {
  return {.name = "adam",
          .slots = {"m", "v"},
          .prepare = [o](const Expr& step,
                         const Expr& rate) { return Exprs{adam_rate(step, rate, o)}; },
          .update = [o](const Expr& p, const Expr& g, const Exprs& slots,
                        const Exprs& shared) { return adam_update(p, g, slots, shared[0], o); }};
}

Optimizer adamw(const AdamWOptions& o) {
  return {.name = "adamw",
          .slots = {"m", "v"},
          .prepare =
              [o](const Expr& step, const Expr& rate) {
                return Exprs{adam_rate(step, rate, o.adam), 1.0 - rate * o.weight_decay};
              },
          .update =
              [o](const Expr& p, const Expr& g, const Exprs& slots, const Exprs& shared) {
                return adam_update(p * shared[1], g, slots, shared[0], o.adam);
              }};
}

Optimizer rmsprop(const RmspropOptions& o) {
  Optimizer out{.name = "rmsprop", .slots = {"v"}, .prepare = rate_alone, .update = {}};
  if (o.momentum != 0) out.slots.emplace_back("momentum");
  out.update = [o](const Expr& p, const Expr& g, const Exprs& slots, const Exprs& shared) {
    const Expr v = slots[0] * o.rho + g * g * (1 - o.rho);
    const Expr step = g * shared[0] / sqrt(v + o.epsilon);
    if (o.momentum == 0) return Exprs{p - step, v};
    const Expr m = slots[1] * o.momentum + step;
    return Exprs{p - m, v, m};
  };
  return out;
}

// The slot holds what was added to the initial accumulator, since slots begin at zero.
Optimizer adagrad(const AdagradOptions& o) {
  return {.name = "adagrad",
          .slots = {"accumulator"},
          .prepare = rate_alone,
          .update = [o](const Expr& p, const Expr& g, const Exprs& slots, const Exprs& shared) {
            const Expr sum = slots[0] + g * g;
            return Exprs{p - g * shared[0] / sqrt(sum + (o.initial_accumulator + o.epsilon)), sum};
          }};
}

std::vector<std::string> optimizer_names() {
  std::vector<std::string> out;
  for (const Row& row : kOptimizers) out.emplace_back(row.name);
  return out;
}

Optimizer find_optimizer(std::string_view name) {
  std::string lower(name), known;
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  for (const Row& row : kOptimizers) {
    if (lower == row.name) return row.make();
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  fail("there is no optimizer '{}'; there are {}", name, known);
}

}  // namespace lathe
