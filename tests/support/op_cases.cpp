#include "tests/support/op_cases.h"

#include <cmath>

#include "ir/base/hash.h"

namespace lathe {
namespace {

// Counter-based, so that an input's values do not depend on the inputs before it.
double uniform(uint64_t seed, uint64_t stream, uint64_t counter) {
  Hasher h;
  h.add(seed);
  h.add(stream);
  h.add(counter);
  return static_cast<double>(h.value() >> 11) * 0x1p-53;
}

double draw(DType t, const Domain& d, double u) {
  if (t == DType::boolean) return u < 0.5 ? 0 : 1;
  if (!is_float(t)) {
    const double low = is_signed(t) ? d.low : std::fmax(d.low, 0);
    return std::floor(low + u * (d.high - low + 1));
  }
  const double x = d.low + u * (d.high - d.low);
  const double kink = d.period == 0 ? 0 : std::nearbyint(x / d.period) * d.period;
  if (std::fabs(x - kink) >= d.away) return x;
  return x < kink ? kink - d.away : kink + d.away;
}

}  // namespace

Graph build_case(const OpCase& c, const Dim& n) {
  Graph g;
  int position = 0;
  for (const Expr& out : c.build(g, n)) g.add_output(fmt::format("out{}", position++), out.value);
  return g;
}

std::vector<Tensor> sample_inputs(const Graph& g, const OpCase& c, uint64_t seed) {
  std::vector<Tensor> out;
  for (size_t k = 0; k < g.inputs().size(); ++k) {
    const TensorType& type = g.inputs()[k].type;
    const Domain domain = k < c.domains.size() ? c.domains[k] : Domain{};
    Tensor t = Tensor::empty(type.dtype, type.shape.static_dims());
    for (int64_t i = 0; i < t.size(); ++i)
      t.set(i, draw(type.dtype, domain, uniform(seed, k, static_cast<uint64_t>(i))));
    out.push_back(std::move(t));
  }
  return out;
}

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> cases = [] {
    std::vector<OpCase> all;
    add_elementwise_cases(all);
    add_view_cases(all);
    add_reduce_cases(all);
    add_contract_cases(all);
    add_control_cases(all);
    return all;
  }();
  return cases;
}

}  // namespace lathe
