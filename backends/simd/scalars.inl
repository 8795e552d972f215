// One element of every scalar function, as ir/scalar.h specifies it. Loops over these are what the
// compiler vectorises; batches where that pays are in elementwise.inl.

template <class T>
inline constexpr bool kIsFloat = __is_same(T, float) || __is_same(T, double);
template <class T>
inline constexpr bool kIsSigned = static_cast<T>(-1) < static_cast<T>(0);
template <class T>
inline constexpr int kBits = static_cast<int>(sizeof(T)) * 8;

// clang-format off
template <int Bytes> struct BitsOf;
template <> struct BitsOf<1> { using U = uint8_t;  using S = int8_t; };
template <> struct BitsOf<2> { using U = uint16_t; using S = int16_t; };
template <> struct BitsOf<4> { using U = uint32_t; using S = int32_t; };
template <> struct BitsOf<8> { using U = uint64_t; using S = int64_t; };
// clang-format on
template <class T>
using Unsigned = typename BitsOf<sizeof(T)>::U;
template <class T>
using Signed = typename BitsOf<sizeof(T)>::S;

// Integer arithmetic wraps; products of narrow types must not overflow int on the way.
template <class T>
using Wrap = typename BitsOf<(sizeof(T) < 4 ? 4 : sizeof(T))>::U;

template <class T>
constexpr T kMaxOf = kIsSigned<T> ? static_cast<T>(static_cast<Unsigned<T>>(~Unsigned<T>(0)) >> 1)
                                  : static_cast<T>(~Unsigned<T>(0));
template <class T>
constexpr T kMinOf = kIsSigned<T> ? static_cast<T>(Unsigned<T>(1) << (kBits<T> - 1)) : T(0);

struct AddOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    if constexpr (kIsFloat<T>) return a + b;
    else return static_cast<T>(static_cast<Wrap<T>>(a) + static_cast<Wrap<T>>(b));
  }
};
struct SubOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    if constexpr (kIsFloat<T>) return a - b;
    else return static_cast<T>(static_cast<Wrap<T>>(a) - static_cast<Wrap<T>>(b));
  }
};
struct MulOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    if constexpr (kIsFloat<T>) return a * b;
    else return static_cast<T>(static_cast<Wrap<T>>(a) * static_cast<Wrap<T>>(b));
  }
};
struct DivOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    if constexpr (kIsFloat<T>) {
      return a / b;
    } else {
      if (b == 0) return static_cast<T>(~Unsigned<T>(0));
      if constexpr (kIsSigned<T>)
        if (b == -1) return static_cast<T>(Wrap<T>(0) - static_cast<Wrap<T>>(a));
      return static_cast<T>(a / b);
    }
  }
};
struct RemOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    if constexpr (__is_same(T, float)) {
      return __builtin_fmodf(a, b);
    } else if constexpr (__is_same(T, double)) {
      return __builtin_fmod(a, b);
    } else {
      if (b == 0) return a;
      if constexpr (kIsSigned<T>)
        if (b == -1) return 0;
      return static_cast<T>(a % b);
    }
  }
};
struct MinOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    T r = a < b ? a : b;
    if constexpr (kIsFloat<T>) r = a != a ? a : r;  // of a NaN in b, the comparison gives b
    return r;
  }
};
struct MaxOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    T r = a > b ? a : b;
    if constexpr (kIsFloat<T>) r = a != a ? a : r;
    return r;
  }
};
struct FmaOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b, T c) {
#ifdef __FMA__
    if constexpr (__is_same(T, float)) return __builtin_fmaf(a, b, c);
    if constexpr (__is_same(T, double)) return __builtin_fma(a, b, c);
#endif
    return AddOf::of(MulOf::of(a, b), c);
  }
};
struct NegOf {
  template <class T>
  static LATHE_INLINE T of(T a) {
    if constexpr (kIsFloat<T>)
      return __builtin_bit_cast(T, static_cast<Unsigned<T>>(__builtin_bit_cast(Unsigned<T>, a) ^
                                                            (Unsigned<T>(1) << (kBits<T> - 1))));
    else return static_cast<T>(Wrap<T>(0) - static_cast<Wrap<T>>(a));
  }
};
struct AbsOf {
  template <class T>
  static LATHE_INLINE T of(T a) {
    if constexpr (kIsFloat<T>)
      return __builtin_bit_cast(
          T, static_cast<Unsigned<T>>(__builtin_bit_cast(Unsigned<T>, a) & (~Unsigned<T>(0) >> 1)));
    else if constexpr (kIsSigned<T>) return a < 0 ? NegOf::of(a) : a;
    else return a;
  }
};
// |x| is near 1, so x * 2^(n/2) is exact and the second product rounds once. Beyond the clamp the
// result is 0 or infinity anyway.
struct Scale2Of {
  template <class T>
  static LATHE_INLINE T of(T x, Signed<T> n) {
    constexpr Signed<T> limit = sizeof(T) == 4 ? 200 : 1200;
    constexpr int mantissa = sizeof(T) == 4 ? 23 : 52;
    constexpr Signed<T> bias = sizeof(T) == 4 ? 127 : 1023;
    n = n < -limit ? -limit : n;
    n = n > limit ? limit : n;
    const Signed<T> half = n >> 1;
    const auto first = static_cast<Unsigned<T>>(half + bias) << mantissa;
    const auto second = static_cast<Unsigned<T>>(n - half + bias) << mantissa;
    return x * __builtin_bit_cast(T, first) * __builtin_bit_cast(T, second);
  }
};

struct EqOf {
  template <class T>
  static LATHE_INLINE uint8_t of(T a, T b) {
    return a == b;
  }
};
struct NeOf {
  template <class T>
  static LATHE_INLINE uint8_t of(T a, T b) {
    return a != b;
  }
};
struct LtOf {
  template <class T>
  static LATHE_INLINE uint8_t of(T a, T b) {
    return a < b;
  }
};
struct LeOf {
  template <class T>
  static LATHE_INLINE uint8_t of(T a, T b) {
    return a <= b;
  }
};

struct AndOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    return a & b;
  }
};
struct OrOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    return a | b;
  }
};
struct XorOf {
  template <class T>
  static LATHE_INLINE T of(T a, T b) {
    return a ^ b;
  }
};
struct NotOf {
  template <class T>
  static LATHE_INLINE T of(T a) {
    return static_cast<T>(~a);
  }
};
struct NotBoolOf {
  static LATHE_INLINE uint8_t of(uint8_t a) { return a ^ 1; }
};
struct ShlOf {
  template <class T>
  static LATHE_INLINE T of(T a, T n) {
    const bool inside = static_cast<Unsigned<T>>(n) < static_cast<Unsigned<T>>(kBits<T>);
    const auto count = static_cast<Wrap<T>>(n) & static_cast<Wrap<T>>(kBits<T> - 1);
    return inside ? static_cast<T>(static_cast<Wrap<T>>(a) << count) : T(0);
  }
};
struct ShrOf {
  template <class T>
  static LATHE_INLINE T of(T a, T n) {
    const bool inside = static_cast<Unsigned<T>>(n) < static_cast<Unsigned<T>>(kBits<T>);
    const auto count = static_cast<Wrap<T>>(n) & static_cast<Wrap<T>>(kBits<T> - 1);
    const T outside = kIsSigned<T> ? static_cast<T>(a >> (kBits<T> - 1)) : T(0);
    return inside ? static_cast<T>(a >> count) : outside;
  }
};
struct SelectOf {
  template <class T>
  static LATHE_INLINE T of(uint8_t c, T a, T b) {
    return c ? a : b;
  }
};
struct LastOf {  // Combine::Assign
  template <class T>
  static LATHE_INLINE T of(T, T b) {
    return b;
  }
};
