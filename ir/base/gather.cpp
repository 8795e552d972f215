#include "ir/base/gather.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace lathe {
namespace {

// How many elements of an axis are taken at a time where that keeps the lines of the source that
// the last axis crosses in L1: 32 of them, each with a few neighbours.
constexpr int64_t kBlock = 16;

struct Axis {
  int64_t extent, from, to;  // steps
};

// Elements at any address.
template <class T>
struct Source {
  const std::byte* bytes;
  Source operator+(int64_t i) const { return {bytes + i * static_cast<int64_t>(sizeof(T))}; }
  T operator[](int64_t i) const {
    T v;
    std::memcpy(&v, bytes + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    return v;
  }
};

template <class T>
void gather(Source<T> from, T* to, const Axis* axis, const Axis* end) {
  if (axis == end) {
    *to = from[0];
    return;
  }
  const Axis a = *axis;
  if (axis + 1 == end)
    for (int64_t i = 0; i < a.extent; ++i) to[i * a.to] = from[i * a.from];
  else
    for (int64_t i = 0; i < a.extent; ++i) gather(from + i * a.from, to + i * a.to, axis + 1, end);
}

// Reads in the order of the result would come back to the lines of the source, once they have left
// the cache, for every step of an axis that is nearer in the source than the last one. The nearest
// long one of these is therefore walked in blocks, outside of the others.
template <class T>
void gather_blocked(Source<T> from, T* to, std::vector<Axis> axes) {
  if (axes.empty()) return gather(from, to, axes.data(), axes.data());
  const auto far = [&](const Axis& a) { return a.from > axes.back().from; };
  const auto first = std::ranges::find_if_not(axes, far);
  auto nearest = axes.end();
  for (auto a = first; a + 1 < axes.end(); ++a)
    if (!far(*a) && a->extent > kBlock && (nearest == axes.end() || a->from < nearest->from))
      nearest = a;
  if (nearest == axes.end()) return gather(from, to, axes.data(), axes.data() + axes.size());
  Axis blocks = *nearest;
  blocks.extent /= kBlock;
  blocks.from *= kBlock;
  blocks.to *= kBlock;
  const Axis rest{nearest->extent % kBlock, nearest->from, nearest->to};
  const Axis whole = *nearest;
  nearest->extent = kBlock;
  std::vector<Axis> order(axes.begin(), first);
  order.push_back(blocks);
  order.insert(order.end(), first, axes.end());
  gather(from, to, order.data(), order.data() + order.size());
  if (rest.extent == 0) return;
  *nearest = rest;
  const int64_t done = whole.extent - rest.extent;
  gather(from + done * whole.from, to + done * whole.to, axes.data(), axes.data() + axes.size());
}

}  // namespace

Tensor gather_strided(const Tensor& t, Dims dims, const Dims& strides, int64_t offset) {
  LATHE_ASSERT(dims.size() == strides.size());
  Tensor out = Tensor::empty(t.dtype(), std::move(dims));
  if (out.size() == 0) return out;
  const Dims to_strides = row_major_strides(out.dims());
  std::vector<Axis> axes;
  for (size_t i = 0; i < strides.size(); ++i)
    axes.push_back({out.dims()[i], strides[i], to_strides[i]});
  const auto copy = [&]<class T>(T* to) {
    gather_blocked(Source<T>{t.stored()} + offset, to, axes);
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
