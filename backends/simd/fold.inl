// Reductions along the tile: 32 lanes, or one accumulator in order.

template <class F, class T>
LATHE_INLINE T combine_one(T acc, T a, T b) {
  if constexpr (__is_same(F, FmaOf)) return FmaOf::of(a, b, acc);
  else return F::of(acc, a);
}

template <class T, class F>
void fold_in_order(void* acc, const void* a, const void* b, int64_t n) {
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  T r = *static_cast<T*>(acc);
  for (int64_t i = 0; i < n; ++i) r = combine_one<F>(r, x[i], b != nullptr ? y[i] : T(0));
  *static_cast<T*>(acc) = r;
}

template <class T, class F>
void fold_lane_loop(void* acc, const void* a, const void* b, int64_t n) {
  T* lanes = static_cast<T*>(acc);
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t count = n - i < kLanes ? n - i : kLanes;
#pragma GCC ivdep
    for (int64_t j = 0; j < count; ++j)
      lanes[j] = combine_one<F>(lanes[j], x[i + j], b != nullptr ? y[i + j] : T(0));
  }
}

// Register budget: 32 lanes are 4 (avx2, f32) to 16 (sse42, f64) vectors.
template <class T, class F, class V>
void fold_lane_batches(void* acc, const void* a, const void* b, int64_t n) {
  using B = Batch<T>;
  constexpr int width = static_cast<int>(B::size), vectors = kLanes / width;
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  T* lanes = static_cast<T*>(acc);
  B sum[vectors];
  for (int j = 0; j < vectors; ++j) sum[j] = B::load_unaligned(lanes + j * width);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int j = 0; j < vectors; ++j) {
      const B u = B::load_unaligned(x + i + j * width);
      if constexpr (__is_same(F, FmaOf))
        sum[j] = V::of(u, B::load_unaligned(y + i + j * width), sum[j]);
      else sum[j] = V::of(sum[j], u, u);
    }
  for (int j = 0; j < vectors; ++j) sum[j].store_unaligned(lanes + j * width);
  if (i < n) fold_lane_loop<T, F>(acc, x + i, b != nullptr ? y + i : nullptr, n - i);
}

template <class T, bool Lanes>
FoldFn find_integer_fold(Combine combine) {
#define LATHE_FOLD(F) (Lanes ? fold_lane_loop<T, F> : fold_in_order<T, F>)
  switch (combine) {
    case Combine::Add: return LATHE_FOLD(AddOf);
    case Combine::Max: return LATHE_FOLD(MaxOf);
    case Combine::Min: return LATHE_FOLD(MinOf);
    case Combine::Mul: return LATHE_FOLD(MulOf);
    case Combine::And: return LATHE_FOLD(AndOf);
    case Combine::Or: return LATHE_FOLD(OrOf);
    case Combine::Fma: return LATHE_FOLD(FmaOf);
    case Combine::Assign: return LATHE_FOLD(LastOf);
    case Combine::FmaFlush: return nullptr;
  }
#undef LATHE_FOLD
  return nullptr;
}

template <class T, bool Lanes>
FoldFn find_float_fold(Combine combine) {
#define LATHE_FOLD(F, V) (Lanes ? fold_lane_batches<T, F, V> : fold_in_order<T, F>)
  switch (combine) {
    case Combine::Add: return LATHE_FOLD(AddOf, AddV);
    case Combine::Max: return LATHE_FOLD(MaxOf, MaxV);
    case Combine::Min: return LATHE_FOLD(MinOf, MinV);
    case Combine::Mul: return LATHE_FOLD(MulOf, MulV);
    case Combine::Fma:
    case Combine::FmaFlush: return LATHE_FOLD(FmaOf, FmaV);
    case Combine::Assign: return Lanes ? fold_lane_loop<T, LastOf> : fold_in_order<T, LastOf>;
    case Combine::And:
    case Combine::Or: return nullptr;
  }
#undef LATHE_FOLD
  return nullptr;
}

template <bool Lanes>
FoldFn find_fold(Combine combine, DType type) {
  switch (type) {
    case DType::f64: return find_float_fold<double, Lanes>(combine);
    case DType::f32:
    case DType::f16:
    case DType::bf16: return find_float_fold<float, Lanes>(combine);
    case DType::i64: return find_integer_fold<int64_t, Lanes>(combine);
    case DType::i32: return find_integer_fold<int32_t, Lanes>(combine);
    case DType::i16: return find_integer_fold<int16_t, Lanes>(combine);
    case DType::i8: return find_integer_fold<int8_t, Lanes>(combine);
    case DType::u64: return find_integer_fold<uint64_t, Lanes>(combine);
    case DType::u32: return find_integer_fold<uint32_t, Lanes>(combine);
    case DType::u16: return find_integer_fold<uint16_t, Lanes>(combine);
    case DType::u8:
    case DType::boolean: return find_integer_fold<uint8_t, Lanes>(combine);
  }
  return nullptr;
}

FoldFn find_fold_lanes(Combine combine, DType type) { return find_fold<true>(combine, type); }
FoldFn find_fold_sequential(Combine combine, DType type) { return find_fold<false>(combine, type); }
