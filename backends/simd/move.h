// Moving elements of 1, 2, 4 or 8 bytes between memory and tiles.
#pragma once

#include <cstdint>
#include <cstring>

namespace lathe::simd {

// Calls `f.template operator()<T>()` with an unsigned type of `bytes` bytes.
template <class F>
void visit_width(int bytes, F&& f) {
  switch (bytes) {
    case 1: return f.template operator()<uint8_t>();
    case 2: return f.template operator()<uint16_t>();
    case 4: return f.template operator()<uint32_t>();
    default: return f.template operator()<uint64_t>();
  }
}

inline void splat(void* out, const void* value, int bytes, int64_t n) {
  visit_width(bytes, [&]<class T>() {
    const T v = *static_cast<const T*>(value);
    T* o = static_cast<T*>(out);
    for (int64_t i = 0; i < n; ++i) o[i] = v;
  });
}

// Rows of `bytes`, as far apart as said.
inline void copy_rows(std::byte* to, int64_t to_row, const std::byte* from, int64_t from_row,
                      int64_t bytes, int64_t rows) {
  constexpr int64_t kPiece = 32;
  for (int64_t r = 0; r < rows; ++r, to += to_row, from += from_row) {
    int64_t i = 0;
    for (; i + kPiece <= bytes; i += kPiece) std::memcpy(to + i, from + i, kPiece);
    if (i < bytes) std::memcpy(to + i, from + i, static_cast<size_t>(bytes - i));
  }
}

// out[i] = from[i * step]
inline void gather_strided(void* out, const void* from, int64_t step, int bytes, int64_t n) {
  if (step == 1) {
    std::memcpy(out, from, static_cast<size_t>(n * bytes));
    return;
  }
  if (step == 0) return splat(out, from, bytes, n);
  visit_width(bytes, [&]<class T>() {
    T* o = static_cast<T*>(out);
    const T* x = static_cast<const T*>(from);
    for (int64_t i = 0; i < n; ++i) o[i] = x[i * step];
  });
}

// to[i * step] = values[i]
inline void scatter_strided(void* to, const void* values, int64_t step, int bytes, int64_t n) {
  if (step == 1) {
    std::memmove(to, values, static_cast<size_t>(n * bytes));
    return;
  }
  visit_width(bytes, [&]<class T>() {
    T* o = static_cast<T*>(to);
    const T* x = static_cast<const T*>(values);
    for (int64_t i = 0; i < n; ++i) o[i * step] = x[i];
  });
}

// out[i] = from[offsets[i]]; 0 and no access where `mask` (if any) is 0.
inline void gather(void* out, const void* from, const int64_t* offsets, const uint8_t* mask,
                   int bytes, int64_t n) {
  visit_width(bytes, [&]<class T>() {
    T* o = static_cast<T*>(out);
    const T* x = static_cast<const T*>(from);
    if (mask == nullptr)
      for (int64_t i = 0; i < n; ++i) o[i] = x[offsets[i]];
    else
      for (int64_t i = 0; i < n; ++i) o[i] = mask[i] != 0 ? x[offsets[i]] : T(0);
  });
}

inline void scatter(void* to, const void* values, const int64_t* offsets, int bytes, int64_t n) {
  visit_width(bytes, [&]<class T>() {
    T* o = static_cast<T*>(to);
    const T* x = static_cast<const T*>(values);
    for (int64_t i = 0; i < n; ++i) o[offsets[i]] = x[i];
  });
}

}  // namespace lathe::simd
