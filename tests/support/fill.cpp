#include "tests/support/fill.h"

#include <cmath>

namespace lathe {
namespace {

double special_float(Random& random) {
  static const std::vector<double> values = {0.0,   -0.0,  INFINITY, -INFINITY, NAN,    1e-40,
                                             -1e-7, 65504, 1e30,     -1e300,    5e-324, 0.5};
  return random.pick(values);
}

}  // namespace

void fill(Tensor& t, Fill kind, Random& random) {
  const bool floating = is_float(t.dtype());
  for (int64_t i = 0; i < t.size(); ++i) {
    if (t.dtype() == DType::boolean) t.set_int(i, random.below(2));
    else if (floating && kind == Fill::Unit) t.set(i, random.uniform(0.5, 2));
    else if (floating && kind == Fill::Wild && random.percent(10)) t.set(i, special_float(random));
    else if (floating) t.set(i, random.uniform(-2, 2));
    else if (kind != Fill::Wild) t.set_int(i, random.between(is_signed(t.dtype()) ? -9 : 0, 9));
  }
  if (floating || t.dtype() == DType::boolean || kind != Fill::Wild) return;
  auto* bytes = static_cast<unsigned char*>(t.mutable_raw());
  for (int64_t i = 0; i < t.bytes(); ++i) bytes[i] = static_cast<unsigned char>(random.next());
}

Tensor small_noise(const Dims& dims, uint64_t seed) {
  Tensor t = Tensor::empty(DType::f32, dims);
  Random random(seed);
  fill(t, Fill::Small, random);
  return t;
}

}  // namespace lathe
