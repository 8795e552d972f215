#include "ir/base/gather.h"

namespace lathe {
namespace {

// Fills `to` in order with the elements from axis `axis` on; the place after the last.
template <class T>
T* gather(const T* from, T* to, const Dims& dims, const Dims& strides, size_t axis) {
  if (axis == dims.size()) {
    *to = *from;
    return to + 1;
  }
  const int64_t extent = dims[axis], stride = strides[axis];
  if (axis + 1 < dims.size()) {
    for (int64_t i = 0; i < extent; ++i)
      to = gather(from + i * stride, to, dims, strides, axis + 1);
    return to;
  }
  for (int64_t i = 0; i < extent; ++i) to[i] = from[i * stride];
  return to + extent;
}

}  // namespace

Tensor gather_strided(const Tensor& t, Dims dims, const Dims& strides, int64_t offset) {
  LATHE_ASSERT(dims.size() == strides.size());
  Tensor out = Tensor::empty(t.dtype(), std::move(dims));
  if (out.size() == 0) return out;
  const auto copy = [&]<class T>(T* to) {
    gather(static_cast<const T*>(t.raw()) + offset, to, out.dims(), strides, 0);
  };
  switch (byte_size(t.dtype())) {
    case 1: copy(static_cast<uint8_t*>(out.mutable_raw())); break;
    case 2: copy(static_cast<uint16_t*>(out.mutable_raw())); break;
    case 4: copy(static_cast<uint32_t*>(out.mutable_raw())); break;
    default: copy(static_cast<uint64_t*>(out.mutable_raw()));
  }
  return out;
}

}  // namespace lathe
