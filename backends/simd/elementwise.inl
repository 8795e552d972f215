// out[i] = f(a[i], b[i], c[i]): floats in batches, everything else in loops for the compiler.
// A uniform operand is broadcast once and costs no load.

// ---- floats in batches. The last partial vector goes through a buffer, so there is one
// implementation of each function.

struct AddV {
  static constexpr int arity = 2;
  template <class B>
  static LATHE_INLINE B of(B a, B b, B) {
    return a + b;
  }
};
struct SubV {
  static constexpr int arity = 2;
  template <class B>
  static LATHE_INLINE B of(B a, B b, B) {
    return a - b;
  }
};
struct MulV {
  static constexpr int arity = 2;
  template <class B>
  static LATHE_INLINE B of(B a, B b, B) {
    return a * b;
  }
};
struct DivV {
  static constexpr int arity = 2;
  template <class B>
  static LATHE_INLINE B of(B a, B b, B) {
    return a / b;
  }
};
// Fused, once rounded. Not xsimd::fma, which in 8.1 is a product and a sum on AVX-512.
#ifdef __AVX512F__
LATHE_INLINE Batch<float> fused(Batch<float> a, Batch<float> b, Batch<float> c) {
  return _mm512_fmadd_ps(a, b, c);
}
LATHE_INLINE Batch<double> fused(Batch<double> a, Batch<double> b, Batch<double> c) {
  return _mm512_fmadd_pd(a, b, c);
}
#elif defined(__FMA__)
LATHE_INLINE Batch<float> fused(Batch<float> a, Batch<float> b, Batch<float> c) {
  return _mm256_fmadd_ps(a, b, c);
}
LATHE_INLINE Batch<double> fused(Batch<double> a, Batch<double> b, Batch<double> c) {
  return _mm256_fmadd_pd(a, b, c);
}
#else
template <class B>
LATHE_INLINE B fused(B a, B b, B c) {
  return a * b + c;
}
#endif
struct FmaV {
  static constexpr int arity = 3;
  template <class B>
  static LATHE_INLINE B of(B a, B b, B c) {
    return fused(a, b, c);
  }
};
// a == a, for xsimd 8.1 compares != ordered on AVX: of NaN it says no.
struct MinV {
  static constexpr int arity = 2;
  template <class B>
  static LATHE_INLINE B of(B a, B b, B) {
    return xsimd::select(a == a, xsimd::select(a < b, a, b), a);
  }
};
struct MaxV {
  static constexpr int arity = 2;
  template <class B>
  static LATHE_INLINE B of(B a, B b, B) {
    return xsimd::select(a == a, xsimd::select(a > b, a, b), a);
  }
};
struct SqrtV {
  static constexpr int arity = 1;
  template <class B>
  static LATHE_INLINE B of(B a, B, B) {
    return xsimd::sqrt(a);
  }
};
struct FloorV {
  static constexpr int arity = 1;
  template <class B>
  static LATHE_INLINE B of(B a, B, B) {
    return xsimd::floor(a);
  }
};
struct CeilV {
  static constexpr int arity = 1;
  template <class B>
  static LATHE_INLINE B of(B a, B, B) {
    return xsimd::ceil(a);
  }
};
struct TruncV {
  static constexpr int arity = 1;
  template <class B>
  static LATHE_INLINE B of(B a, B, B) {
    return xsimd::trunc(a);
  }
};
struct RoundV {
  static constexpr int arity = 1;
  template <class B>
  static LATHE_INLINE B of(B a, B, B) {
    return xsimd::nearbyint(a);
  }
};

template <class T, bool Used, bool Uniform>
struct Source {
  using B = Batch<T>;
  const T* p;
  B first;
  LATHE_INLINE explicit Source(const void* data)
      : p(static_cast<const T*>(data)), first(Used && Uniform ? *p : T(0)) {}
  LATHE_INLINE B at(int64_t i) const {
    if constexpr (Used && !Uniform) return B::load_unaligned(p + i);
    else return first;
  }
  LATHE_INLINE B last(int64_t i, int64_t count) const {
    if constexpr (Used && !Uniform) {
      alignas(64) T buffer[B::size];
      for (int64_t j = 0; j < static_cast<int64_t>(B::size); ++j) buffer[j] = T(1);
      for (int64_t j = 0; j < count; ++j) buffer[j] = p[i + j];
      return B::load_aligned(buffer);
    } else {
      return first;
    }
  }
};

template <class T, class F, int Uniform>
void map_batches(void* out, const void* a, const void* b, const void* c, int64_t n) {
  using B = Batch<T>;
  constexpr auto width = static_cast<int64_t>(B::size);
  const Source<T, true, (Uniform & 1) != 0> x(a);
  const Source<T, (F::arity >= 2), (Uniform & 2) != 0> y(b);
  const Source<T, (F::arity >= 3), (Uniform & 4) != 0> z(c);
  T* o = static_cast<T*>(out);
  int64_t i = 0;
  for (; i + width <= n; i += width) F::of(x.at(i), y.at(i), z.at(i)).store_unaligned(o + i);
  if (i == n) return;
  alignas(64) T buffer[B::size];
  F::of(x.last(i, n - i), y.last(i, n - i), z.last(i, n - i)).store_aligned(buffer);
  for (int64_t j = 0; i < n; ++i, ++j) o[i] = buffer[j];
}

template <class T, class F>
TileFn batches(int uniform) {
  if constexpr (F::arity == 1) {
    return uniform == 0 ? map_batches<T, F, 0> : nullptr;
  } else {
    switch (uniform) {
      case 0: return map_batches<T, F, 0>;
      case 1: return map_batches<T, F, 1>;
      case 2: return map_batches<T, F, 2>;
    }
    if constexpr (F::arity == 3) switch (uniform) {
        case 3: return map_batches<T, F, 3>;
        case 4: return map_batches<T, F, 4>;
        case 5: return map_batches<T, F, 5>;
        case 6: return map_batches<T, F, 6>;
      }
    return nullptr;
  }
}

template <class T>
TileFn find_float(Scalar op, int uniform) {
  switch (op) {
    case Scalar::Add: return batches<T, AddV>(uniform);
    case Scalar::Sub: return batches<T, SubV>(uniform);
    case Scalar::Mul: return batches<T, MulV>(uniform);
    case Scalar::Div: return batches<T, DivV>(uniform);
    case Scalar::Fma: return batches<T, FmaV>(uniform);
    case Scalar::Min: return batches<T, MinV>(uniform);
    case Scalar::Max: return batches<T, MaxV>(uniform);
    case Scalar::Sqrt: return batches<T, SqrtV>(uniform);
    case Scalar::Floor: return batches<T, FloorV>(uniform);
    case Scalar::Ceil: return batches<T, CeilV>(uniform);
    case Scalar::Trunc: return batches<T, TruncV>(uniform);
    case Scalar::RoundEven: return batches<T, RoundV>(uniform);
    default: return nullptr;
  }
}

// ---- loops. Elements do not depend on each other even where `out` is an input.

template <class T, class F>
void map1(void* out, const void* a, const void*, const void*, int64_t n) {
  T* o = static_cast<T*>(out);
  const T* x = static_cast<const T*>(a);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) o[i] = F::of(x[i]);
}

template <class R, class T, class U, class F, int Uniform>
void map2(void* out, const void* a, const void* b, const void*, int64_t n) {
  R* o = static_cast<R*>(out);
  const T* x = static_cast<const T*>(a);
  const U* y = static_cast<const U*>(b);
  const T x0 = (Uniform & 1) != 0 ? *x : T(0);
  const U y0 = (Uniform & 2) != 0 ? *y : U(0);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i)
    o[i] = F::of((Uniform & 1) != 0 ? x0 : x[i], (Uniform & 2) != 0 ? y0 : y[i]);
}

template <class R, class T, class F>
TileFn loops(int uniform) {
  switch (uniform) {
    case 0: return map2<R, T, T, F, 0>;
    case 1: return map2<R, T, T, F, 1>;
    case 2: return map2<R, T, T, F, 2>;
    default: return nullptr;
  }
}

template <class T>
void map_fma(void* out, const void* a, const void* b, const void* c, int64_t n) {
  T* o = static_cast<T*>(out);
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b),
          *z = static_cast<const T*>(c);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) o[i] = FmaOf::of(x[i], y[i], z[i]);
}

template <class T, int Uniform>
void map_select(void* out, const void* c, const void* a, const void* b, int64_t n) {
  T* o = static_cast<T*>(out);
  const uint8_t* take = static_cast<const uint8_t*>(c);
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  const T x0 = (Uniform & 2) != 0 ? *x : T(0), y0 = (Uniform & 4) != 0 ? *y : T(0);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) {
    const T from_x = (Uniform & 2) != 0 ? x0 : x[i], from_y = (Uniform & 4) != 0 ? y0 : y[i];
    o[i] = take[i] != 0 ? from_x : from_y;
  }
}

template <class T>
TileFn selects(int uniform) {
  switch (uniform) {
    case 0: return map_select<T, 0>;
    case 2: return map_select<T, 2>;
    case 4: return map_select<T, 4>;
    default: return nullptr;
  }
}

// Select works on bits, so on unsigned integers of the width.
TileFn find_select(DType type, int uniform) {
  if (type == DType::f16 || type == DType::bf16) type = DType::f32;
  switch (info(type).bytes) {
    case 1: return selects<uint8_t>(uniform);
    case 2: return selects<uint16_t>(uniform);
    case 4: return selects<uint32_t>(uniform);
    default: return selects<uint64_t>(uniform);
  }
}

template <class T>
TileFn find_compare(Scalar op, int uniform) {
  switch (op) {
    case Scalar::Eq: return loops<uint8_t, T, EqOf>(uniform);
    case Scalar::Ne: return loops<uint8_t, T, NeOf>(uniform);
    case Scalar::Lt: return loops<uint8_t, T, LtOf>(uniform);
    case Scalar::Le: return loops<uint8_t, T, LeOf>(uniform);
    default: return nullptr;
  }
}

template <class T>
TileFn find_bitwise(Scalar op, int uniform) {
  switch (op) {
    case Scalar::And: return loops<T, T, AndOf>(uniform);
    case Scalar::Or: return loops<T, T, OrOf>(uniform);
    case Scalar::Xor: return loops<T, T, XorOf>(uniform);
    default: return nullptr;
  }
}

template <class T>
TileFn find_integer(Scalar op, int uniform) {
  if (TileFn f = find_compare<T>(op, uniform)) return f;
  if (TileFn f = find_bitwise<T>(op, uniform)) return f;
  switch (op) {
    case Scalar::Add: return loops<T, T, AddOf>(uniform);
    case Scalar::Sub: return loops<T, T, SubOf>(uniform);
    case Scalar::Mul: return loops<T, T, MulOf>(uniform);
    case Scalar::Shl: return loops<T, T, ShlOf>(uniform);
    case Scalar::Shr: return loops<T, T, ShrOf>(uniform);
    case Scalar::Min: return loops<T, T, MinOf>(uniform);
    case Scalar::Max: return loops<T, T, MaxOf>(uniform);
    default: break;
  }
  if (uniform != 0) return nullptr;
  switch (op) {
    case Scalar::Div: return map2<T, T, T, DivOf, 0>;
    case Scalar::Rem: return map2<T, T, T, RemOf, 0>;
    case Scalar::Neg: return map1<T, NegOf>;
    case Scalar::Abs: return map1<T, AbsOf>;
    case Scalar::Not: return map1<T, NotOf>;
    case Scalar::Fma: return map_fma<T>;
    default: return nullptr;
  }
}

template <class T>
TileFn find_floating(Scalar op, int uniform) {
  if (TileFn f = find_float<T>(op, uniform)) return f;
  if (TileFn f = find_compare<T>(op, uniform)) return f;
  if (uniform != 0) return nullptr;
  switch (op) {
    case Scalar::Neg: return map1<T, NegOf>;
    case Scalar::Abs: return map1<T, AbsOf>;
    case Scalar::Rem: return map2<T, T, T, RemOf, 0>;
    case Scalar::Scale2: return map2<T, T, Signed<T>, Scale2Of, 0>;
    default: return nullptr;
  }
}

TileFn find_boolean(Scalar op, int uniform) {
  if (TileFn f = find_compare<uint8_t>(op, uniform)) return f;
  if (TileFn f = find_bitwise<uint8_t>(op, uniform)) return f;
  return op == Scalar::Not && uniform == 0 ? map1<uint8_t, NotBoolOf> : nullptr;
}

TileFn find_op(Scalar op, DType type, int uniform) {
  if (op == Scalar::Select) return find_select(type, uniform);
  switch (type) {
    case DType::f64: return find_floating<double>(op, uniform);
    case DType::f32:
    case DType::f16:
    case DType::bf16: return find_floating<float>(op, uniform);
    case DType::i64: return find_integer<int64_t>(op, uniform);
    case DType::i32: return find_integer<int32_t>(op, uniform);
    case DType::i16: return find_integer<int16_t>(op, uniform);
    case DType::i8: return find_integer<int8_t>(op, uniform);
    case DType::u64: return find_integer<uint64_t>(op, uniform);
    case DType::u32: return find_integer<uint32_t>(op, uniform);
    case DType::u16: return find_integer<uint16_t>(op, uniform);
    case DType::u8: return find_integer<uint8_t>(op, uniform);
    case DType::boolean: return find_boolean(op, uniform);
  }
  return nullptr;
}
