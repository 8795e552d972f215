#include "runtime/artifact/argsort.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace lathe {
namespace {

// Elements as keys whose order as integers is theirs. The bits of an IEEE number are a sign and a
// magnitude that grows with it; beyond those of infinity it is NaN.
template <class Bits, Bits infinity>
struct Float {
  using Raw = Bits;
  static Bits key(Bits bits) {
    constexpr Bits most = std::numeric_limits<Bits>::max();
    const auto magnitude = static_cast<Bits>(bits & most);
    if (magnitude > infinity) return most;
    return bits < 0 ? static_cast<Bits>(-magnitude) : magnitude;
  }
};

template <class T>
struct Integer {
  using Raw = T;
  static T key(T value) { return value; }
};

// Which places come first is a strict order, so whatever algorithm ends with the same ones: where
// few are wanted a heap of those found so far, whose top is the first to go.
template <class Type>
void sort_lane(const typename Type::Raw* values, int64_t* first, int64_t length, int64_t count,
               bool descending) {
  using Key = typename Type::Raw;
  const Key flip = descending ? static_cast<Key>(~Key{0}) : Key{0};
  const auto key = [&](int64_t i) { return static_cast<Key>(Type::key(values[i]) ^ flip); };
  const auto before = [&](int64_t a, int64_t b) {
    const Key x = key(a), y = key(b);
    return x != y ? x < y : a < b;
  };
  int64_t* const last = first + count;
  std::iota(first, last, int64_t{0});
  if (count == length) return std::sort(first, last, before);
  std::make_heap(first, last, before);
  Key worst = key(*first);
  for (int64_t i = count; i < length; ++i) {
    if (key(i) >= worst) continue;
    std::pop_heap(first, last, before);
    last[-1] = i;
    std::push_heap(first, last, before);
    worst = key(*first);
  }
  std::sort_heap(first, last, before);
}

template <class Type>
void sort_lanes(const void* x, int64_t* places, int64_t lanes, int64_t length, int64_t count,
                int descending) {
  if (count == 0) return;
  const auto* values = static_cast<const typename Type::Raw*>(x);
  for (int64_t lane = 0; lane < lanes; ++lane)
    sort_lane<Type>(values + lane * length, places + lane * count, length, count, descending != 0);
}

using f64 = Float<int64_t, 0x7ff0000000000000>;
using f32 = Float<int32_t, 0x7f800000>;
using f16 = Float<int16_t, 0x7c00>;
using bf16 = Float<int16_t, 0x7f80>;
using i64 = Integer<int64_t>;
using i32 = Integer<int32_t>;
using i16 = Integer<int16_t>;
using i8 = Integer<int8_t>;
using u64 = Integer<uint64_t>;
using u32 = Integer<uint32_t>;
using u16 = Integer<uint16_t>;
using u8 = Integer<uint8_t>;
using boolean = Integer<uint8_t>;

}  // namespace
}  // namespace lathe

#define LATHE_DEFINE(type)                                                                 \
  void lathe_argsort_##type(const void* x, int64_t* places, int64_t lanes, int64_t length, \
                            int64_t count, int descending) {                               \
    lathe::sort_lanes<lathe::type>(x, places, lanes, length, count, descending);           \
  }
LATHE_ARGSORT_TYPES(LATHE_DEFINE)
#undef LATHE_DEFINE
