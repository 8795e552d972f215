#include "ir/base/shape.h"

#include <fmt/ranges.h>

namespace lathe {

bool Shape::is_static() const {
  for (const Dim& d : dims_)
    if (!d.is_static()) return false;
  return true;
}

Dims Shape::static_dims() const {
  Dims out;
  out.reserve(dims_.size());
  for (const Dim& d : dims_) out.push_back(d.value());
  return out;
}

int64_t Shape::element_count() const { return lathe::element_count(static_dims()); }

Dim Shape::volume() const {
  Dim product = 1;
  for (const Dim& d : dims_) product = product * d;
  return product;
}

Shape Shape::bind(const DimBinding& binding) const {
  std::vector<Dim> out;
  out.reserve(dims_.size());
  for (const Dim& d : dims_) out.push_back(d.bind(binding));
  return Shape(std::move(out));
}

std::string Shape::text() const {
  std::string out;
  for (const Dim& d : dims_) {
    if (!out.empty()) out += ',';
    out += d.text();
  }
  return out;
}

int64_t element_count(const Dims& dims) {
  int64_t product = 1;
  bool empty = false;
  for (int64_t d : dims) {
    if (d < 0) fail("shape [{}] has a negative dimension", fmt::join(dims, ","));
    if (d == 0) empty = true;
    else if (__builtin_mul_overflow(product, d, &product) || product > (int64_t{1} << 46))
      fail("shape [{}] is too large (more than 2^46 elements)", fmt::join(dims, ","));
  }
  return empty ? 0 : product;
}

Dims row_major_strides(const Dims& dims) {
  Dims strides(dims.size(), 1);
  for (size_t i = dims.size(); i-- > 1;) strides[i - 1] = strides[i] * dims[i];
  return strides;
}

}  // namespace lathe
