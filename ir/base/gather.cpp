#include "ir/base/gather.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace lathe {
namespace {

constexpr int64_t kBlock = 16;  // elements of a run and across it: lines of both stay in L1

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

// leaf(from, to) at every point of the axes.
template <class T, class Leaf>
void walk(Source<T> from, T* to, std::span<const Axis> axes, const Leaf& leaf) {
  if (axes.empty()) return leaf(from, to);
  const Axis& a = axes[0];
  for (int64_t i = 0; i < a.extent; ++i)
    walk(from + i * a.from, to + i * a.to, axes.subspan(1), leaf);
}

template <class T>
void copy_line(Source<T> from, T* to, const Axis& a) {
  if (a.from == 1 && a.to == 1)
    std::memcpy(to, from.bytes, static_cast<size_t>(a.extent) * sizeof(T));
  else
    for (int64_t i = 0; i < a.extent; ++i) to[i * a.to] = from[i * a.from];
}

// What lies side by side in the source, and where each element of it goes; beside it one axis that
// lies side by side in the result.
struct Tile {
  std::vector<int64_t> to;
  Axis across;
};

// Four steps across of four elements of a run.
template <class T>
void transpose_4x4(Source<T> from, int64_t step, T* to, const int64_t* offsets) {
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t j = 0; j < 4; ++j) to[offsets[i] + j] = from[j * step + i];
}

// In registers, by the shuffles that vectors of four have.
template <>
void transpose_4x4(Source<uint32_t> from, int64_t step, uint32_t* to, const int64_t* offsets) {
  using Four = uint32_t __attribute__((vector_size(16)));
  Four row[4];
  for (int64_t j = 0; j < 4; ++j) std::memcpy(&row[j], (from + j * step).bytes, sizeof(Four));
  const Four low01 = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5);
  const Four low23 = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
  const Four high01 = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7);
  const Four high23 = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
  const Four column[] = {__builtin_shufflevector(low01, low23, 0, 1, 4, 5),
                         __builtin_shufflevector(low01, low23, 2, 3, 6, 7),
                         __builtin_shufflevector(high01, high23, 0, 1, 4, 5),
                         __builtin_shufflevector(high01, high23, 2, 3, 6, 7)};
  for (int64_t i = 0; i < 4; ++i) std::memcpy(to + offsets[i], &column[i], sizeof(Four));
}

// In blocks, so that lines of the source are read once and lines of the result written whole: rows
// of the source often lie a power of two apart, and more than a few of them push each other out of
// L1.
template <class T>
void transpose(Source<T> from, T* to, const Tile& tile) {
  const auto run = static_cast<int64_t>(tile.to.size());
  const int64_t step = tile.across.from;
  const auto block = [&](int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
    int64_t i = i0;
    for (; i + 4 <= i1; i += 4) {
      int64_t j = j0;
      for (; j + 4 <= j1; j += 4)
        transpose_4x4(from + (j * step + i), step, to + j, &tile.to[static_cast<size_t>(i)]);
      for (; j < j1; ++j)
        for (int64_t k = i; k < i + 4; ++k)
          to[tile.to[static_cast<size_t>(k)] + j] = from[j * step + k];
    }
    for (; i < i1; ++i)
      for (int64_t j = j0; j < j1; ++j)
        to[tile.to[static_cast<size_t>(i)] + j] = from[j * step + i];
  };
  for (int64_t i = 0; i < run; i += kBlock)
    for (int64_t j = 0; j < tile.across.extent; j += kBlock)
      block(i, std::min(i + kBlock, run), j, std::min(j + kBlock, tile.across.extent));
}

// Takes the axes that make up such a tile out of `axes`, the last of which is the one across.
std::optional<Tile> take_tile(std::vector<Axis>& axes) {
  if (axes.empty() || axes.back().to != 1 || axes.back().from == 1) return std::nullopt;
  std::vector<Axis> rest(axes.begin(), axes.end() - 1);
  Tile tile{{0}, axes.back()};
  for (;;) {
    const auto run = static_cast<int64_t>(tile.to.size());
    const auto next =
        std::ranges::find_if(rest, [&](const Axis& a) { return a.from == run && a.extent > 1; });
    if (next == rest.end()) break;
    for (int64_t i = 1; i < next->extent; ++i)
      for (int64_t e = 0; e < run; ++e)
        tile.to.push_back(tile.to[static_cast<size_t>(e)] + i * next->to);
    rest.erase(next);
  }
  if (tile.to.size() < 4) return std::nullopt;
  axes = std::move(rest);
  return tile;
}

template <class T>
void gather(Source<T> from, T* to, std::vector<Axis> axes) {
  if (const auto tile = take_tile(axes))
    return walk(from, to, axes, [&](Source<T> f, T* t) { transpose(f, t, *tile); });
  Axis line{1, 1, 1};
  if (!axes.empty()) line = axes.back(), axes.pop_back();
  walk(from, to, axes, [&](Source<T> f, T* t) { copy_line(f, t, line); });
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
  const auto copy = [&]<class T>(T* to) { gather(Source<T>{t.stored()} + offset, to, axes); };
  switch (byte_size(t.dtype())) {
    case 1: copy(static_cast<uint8_t*>(out.mutable_raw())); break;
    case 2: copy(static_cast<uint16_t*>(out.mutable_raw())); break;
    case 4: copy(static_cast<uint32_t*>(out.mutable_raw())); break;
    default: copy(static_cast<uint64_t*>(out.mutable_raw()));
  }
  return out;
}

}  // namespace lathe
