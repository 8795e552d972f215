#include "frontend/onnx/activations.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "frontend/nn/activation.h"

namespace lathe::onnx {
namespace {

struct Named {
  std::string_view name;
  std::optional<double> alpha, beta;  // defaults of the constants that it has
  Expr (*apply)(const Expr& x, double alpha, double beta);
};

constexpr Named kNamed[] = {
    {"affine", 1, 0, [](const Expr& x, double a, double b) { return x * a + b; }},
    {"elu", 1, {}, [](const Expr& x, double a, double) { return nn::elu(x, a); }},
    {"hardsigmoid", 0.2, 0.5,
     [](const Expr& x, double a, double b) { return nn::clip(x * a + b, 0, 1); }},
    {"leakyrelu", 0.01, {}, [](const Expr& x, double a, double) { return nn::leaky_relu(x, a); }},
    {"relu", {}, {}, [](const Expr& x, double, double) { return nn::relu(x); }},
    {"scaledtanh", 1, 1, [](const Expr& x, double a, double b) { return tanh(x * b) * a; }},
    {"sigmoid", {}, {}, [](const Expr& x, double, double) { return sigmoid(x); }},
    {"softplus", {}, {}, [](const Expr& x, double, double) { return nn::softplus(x); }},
    {"softsign", {}, {}, [](const Expr& x, double, double) { return x / (abs(x) + 1.0); }},
    {"tanh", {}, {}, [](const Expr& x, double, double) { return tanh(x); }},
    {"thresholdedrelu",
     1,
     {},
     [](const Expr& x, double a, double) {
       return select(lt(full_like(x, a), x), x, full_like(x, 0));
     }},
};

}  // namespace

std::vector<CellActivation> cell_activations(const std::vector<std::string>& names,
                                             const std::vector<double>& alpha,
                                             const std::vector<double>& beta) {
  std::vector<CellActivation> out;
  size_t next_alpha = 0, next_beta = 0;
  const auto take = [](std::optional<double> missing, const std::vector<double>& from,
                       size_t& next) {
    if (!missing) return 0.0;
    return next < from.size() ? from[next++] : *missing;
  };
  for (const std::string& name : names) {
    std::string lower = name;
    std::ranges::transform(lower, lower.begin(),
                           [](unsigned char ch) { return static_cast<char>(std::tolower(ch)); });
    const auto* found = std::ranges::find(kNamed, lower, &Named::name);
    if (found == std::end(kNamed)) fail("'{}' is no activation of recurrent ops", name);
    const double a = take(found->alpha, alpha, next_alpha), b = take(found->beta, beta, next_beta);
    out.emplace_back([apply = found->apply, a, b](const Expr& x) { return apply(x, a, b); });
  }
  return out;
}

}  // namespace lathe::onnx
