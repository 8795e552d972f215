// Scalars on whole vectors, of which functions (function_code.inl, written by tools/simd_functions)
// are made. Comparisons and booleans are integers of all bits or none.

template <class T>
struct Vectors {
  using F = typename Batch<T>::register_type;
  typedef Signed<T> I __attribute__((vector_size(sizeof(F))));
  typedef Unsigned<T> U __attribute__((vector_size(sizeof(F))));
  static constexpr int kMantissa = sizeof(T) == 4 ? 23 : 52;
  static constexpr Signed<T> kBias = sizeof(T) == 4 ? 127 : 1023;
  static constexpr Signed<T> kMostScaled = sizeof(T) == 4 ? 200 : 1200;

  static LATHE_INLINE I integer(Signed<T> v) { return I{} + v; }
  static LATHE_INLINE F number(Unsigned<T> bits) { return Batch<T>(__builtin_bit_cast(T, bits)); }
  static LATHE_INLINE I bits(F a) { return (I)a; }
  static LATHE_INLINE F from_bits(I a) { return (F)a; }
  static LATHE_INLINE F to_floats(I a) { return __builtin_convertvector(a, F); }

  static LATHE_INLINE F add(F a, F b) { return a + b; }
  static LATHE_INLINE F sub(F a, F b) { return a - b; }
  static LATHE_INLINE F mul(F a, F b) { return a * b; }
  static LATHE_INLINE F div(F a, F b) { return a / b; }
  static LATHE_INLINE F fma(F a, F b, F c) { return fused(Batch<T>(a), Batch<T>(b), Batch<T>(c)); }
  static LATHE_INLINE F sqrt(F a) { return xsimd::sqrt(Batch<T>(a)); }
  static LATHE_INLINE F floor(F a) { return xsimd::floor(Batch<T>(a)); }
  static LATHE_INLINE F neg(F a) { return from_bits(bits(a) ^ integer(kMinOf<Signed<T>>)); }
  static LATHE_INLINE F abs(F a) { return from_bits(bits(a) & integer(kMaxOf<Signed<T>>)); }

  static LATHE_INLINE I add(I a, I b) { return (I)((U)a + (U)b); }
  static LATHE_INLINE I sub(I a, I b) { return (I)((U)a - (U)b); }
  static LATHE_INLINE I mul(I a, I b) { return (I)((U)a * (U)b); }
  static LATHE_INLINE I shl(I a, I n) { return (I)((U)a << (U)n); }
  static LATHE_INLINE I shr(I a, I n) { return a >> n; }

  static LATHE_INLINE I lt(F a, F b) { return a < b; }
  static LATHE_INLINE I le(F a, F b) { return a <= b; }
  static LATHE_INLINE I eq(F a, F b) { return a == b; }
  static LATHE_INLINE I ne(F a, F b) { return a != b; }
  static LATHE_INLINE I lt(I a, I b) { return a < b; }
  static LATHE_INLINE I le(I a, I b) { return a <= b; }
  static LATHE_INLINE I eq(I a, I b) { return a == b; }
  static LATHE_INLINE I ne(I a, I b) { return a != b; }
  static LATHE_INLINE I both(I a, I b) { return a & b; }
  static LATHE_INLINE I either(I a, I b) { return a | b; }
  static LATHE_INLINE I inverse(I a) { return ~a; }
  static LATHE_INLINE F select(I c, F a, F b) { return c ? a : b; }
  static LATHE_INLINE I select(I c, I a, I b) { return c ? a : b; }

  // As Scale2Of.
  static LATHE_INLINE F scale2(F x, I n) {
    n = n < integer(-kMostScaled) ? integer(-kMostScaled) : n;
    n = n > integer(kMostScaled) ? integer(kMostScaled) : n;
    const I half = n >> 1;
    const I first = (half + integer(kBias)) << kMantissa;
    const I second = (n - half + integer(kBias)) << kMantissa;
    return x * from_bits(first) * from_bits(second);
  }
};

// A comparison and the choice that it makes.
template <Scalar Compare, int IfTrue, int IfFalse>
struct ChooseV {
  static constexpr int arity = IfTrue == 2 || IfFalse == 2 ? 3 : 2;
  static LATHE_INLINE Batch<float> of(Batch<float> a, Batch<float> b, Batch<float> c) {
    using V = Vectors<float>;
    const V::F from[] = {a, b, c};
    const V::I test = Compare == Scalar::Lt ? V::lt(from[0], from[1]) : V::le(from[0], from[1]);
    return V::select(test, from[IfTrue], from[IfFalse]);
  }
};

template <Scalar Compare>
TileFn find_choice(int if_true, int if_false, int uniform) {
  switch (3 * if_true + if_false) {
    case 1: return batches<float, ChooseV<Compare, 0, 1>>(uniform);
    case 2: return batches<float, ChooseV<Compare, 0, 2>>(uniform);
    case 3: return batches<float, ChooseV<Compare, 1, 0>>(uniform);
    case 5: return batches<float, ChooseV<Compare, 1, 2>>(uniform);
    case 6: return batches<float, ChooseV<Compare, 2, 0>>(uniform);
    case 7: return batches<float, ChooseV<Compare, 2, 1>>(uniform);
    default: return nullptr;
  }
}
TileFn find_choose(Scalar compare, int if_true, int if_false, int uniform) {
  switch (compare) {
    case Scalar::Lt: return find_choice<Scalar::Lt>(if_true, if_false, uniform);
    case Scalar::Le: return find_choice<Scalar::Le>(if_true, if_false, uniform);
    default: return nullptr;
  }
}
