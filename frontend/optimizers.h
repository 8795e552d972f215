// Optimisers as graph formulas, with Keras' formulas and defaults.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ir/optimizer.h"

namespace lathe {

struct SgdOptions {
  double momentum = 0;
  bool nesterov = false;
};
struct AdamOptions {
  double beta_1 = 0.9, beta_2 = 0.999;
  double epsilon = 1e-7;
};
struct AdamWOptions {
  AdamOptions adam = {};
  double weight_decay = 0.004;  // times the learning rate
};
struct RmspropOptions {
  double rho = 0.9;
  double momentum = 0;
  double epsilon = 1e-7;
};
struct AdagradOptions {
  double initial_accumulator = 0.1;
  double epsilon = 1e-7;
};

Optimizer sgd(const SgdOptions& options = {});
// parameter -= m * alpha / (sqrt(v) + epsilon), alpha = rate * sqrt(1 - beta_2^t) / (1 - beta_1^t)
Optimizer adam(const AdamOptions& options = {});
Optimizer adamw(const AdamWOptions& options = {});
Optimizer rmsprop(const RmspropOptions& options = {});
Optimizer adagrad(const AdagradOptions& options = {});

// By name, in any case, with default options. A user error lists the names there are.
Optimizer find_optimizer(std::string_view name);
std::vector<std::string> optimizer_names();

}  // namespace lathe
