// The case table: small graphs around every op, with inputs away from kinks.
//
// One row serves the op tests, the oracle ladder, gradient checks, fuzz seeds and benches. A family
// of rows is one `add_*_cases` function in a file of its own, called by op_cases.cpp.
#pragma once

#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "ir/expr.h"

namespace lathe {

// Where an input's values are drawn from: [low, high], integers inclusive.
struct Domain {
  double low = -2, high = 2;
  double away = 0;    // floats: at least this far from every integer multiple of `period`
  double period = 0;  // 0: only from zero
};

// What an expanded scalar reaches over all its operands: the largest |result - exact| in units in
// the last place of f32 and of f64.
struct Accuracy {
  long double (*exact)(long double x, long double y) = nullptr;  // of one operand: without y
  double f32 = 0, f64 = 0;
  double f64_growth = 0;  // added to f64 for each unit of |log exact|
  double limit = std::numeric_limits<double>::infinity();  // of |x|; nothing is said beyond
};

struct OpCase {
  OpId op;
  std::string name;  // "pad/interior"
  // Adds inputs and the op; gives the outputs. `n` is a number, or a symbol for symbolic shapes:
  // rows use it for a dim where the op allows one.
  std::function<std::vector<Expr>(Graph&, const Dim& n)> build;
  std::vector<Domain> domains = {};  // of the inputs in order; the default for those not listed
  double tolerance = 1e-5;           // relative, of compiled against reference results
  bool differentiable = true;        // gradients are to be checked against differences
  Accuracy accuracy = {};            // stated in the f32 and f64 rows of expanded scalars
};

const std::vector<OpCase>& op_cases();

Graph build_case(const OpCase& c, const Dim& n = 3);
// Inputs for a graph of static shapes; the same seed gives the same values.
std::vector<Tensor> sample_inputs(const Graph& g, const OpCase& c, uint64_t seed = 1);

void add_elementwise_cases(std::vector<OpCase>& cases);
void add_view_cases(std::vector<OpCase>& cases);
void add_reduce_cases(std::vector<OpCase>& cases);
void add_contract_cases(std::vector<OpCase>& cases);
void add_control_cases(std::vector<OpCase>& cases);

}  // namespace lathe
