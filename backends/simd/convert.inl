// Casts between compute types and to and from storage.

template <class To, class From>
LATHE_INLINE To cast_one(From v) {
  if constexpr (kIsFloat<From> && !kIsFloat<To>) {
    // Beyond the range the clamped conversion is replaced, so that none is undefined.
    constexpr From low = static_cast<From>(kMinOf<To>);
    constexpr From beyond = static_cast<From>(kMaxOf<To> / 2 + 1) * 2;
    const From clamped = v > low ? (v < beyond ? v : low) : low;  // a NaN too gives low
    To r = static_cast<To>(clamped);
    r = v >= beyond ? kMaxOf<To> : r;
    return v != v ? To(0) : r;
  } else {
    return static_cast<To>(v);
  }
}

template <class To, class From>
void cast_loop(void* out, const void* a, const void*, const void*, int64_t n) {
  To* __restrict o = static_cast<To*>(out);
  const From* __restrict x = static_cast<const From*>(a);
  for (int64_t i = 0; i < n; ++i) o[i] = cast_one<To>(x[i]);
}
template <class From>
void cast_bool(void* out, const void* a, const void*, const void*, int64_t n) {
  uint8_t* __restrict o = static_cast<uint8_t*>(out);
  const From* __restrict x = static_cast<const From*>(a);
  for (int64_t i = 0; i < n; ++i) o[i] = x[i] != From(0);
}

// ---- 16-bit floats

LATHE_INLINE uint16_t to_bf16(float value) {
  const auto u = __builtin_bit_cast(uint32_t, value);
  const uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
  return static_cast<uint16_t>(nan ? ((u >> 16) | 0x40u) : rounded);
}
LATHE_INLINE float from_bf16(uint16_t bits) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(bits) << 16);
}

#ifdef __F16C__
LATHE_INLINE uint16_t to_f16(float v) { return _cvtss_sh(v, _MM_FROUND_TO_NEAREST_INT); }
LATHE_INLINE float from_f16(uint16_t bits) { return _cvtsh_ss(bits); }
#else
LATHE_INLINE uint16_t to_f16(float v) { return float_to_f16(v); }
LATHE_INLINE float from_f16(uint16_t bits) { return f16_to_float(bits); }
#endif

void load_bf16(void* out, const void* a, const void*, const void*, int64_t n) {
  float* __restrict o = static_cast<float*>(out);
  const uint16_t* __restrict x = static_cast<const uint16_t*>(a);
  for (int64_t i = 0; i < n; ++i) o[i] = from_bf16(x[i]);
}
void load_f16(void* out, const void* a, const void*, const void*, int64_t n) {
  float* o = static_cast<float*>(out);
  const uint16_t* x = static_cast<const uint16_t*>(a);
  int64_t i = 0;
#ifdef __F16C__
  for (; i + 8 <= n; i += 8)
    _mm256_storeu_ps(o + i,
                     _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i))));
#endif
  for (; i < n; ++i) o[i] = from_f16(x[i]);
}

// From a compute type to a 16-bit float, through binary32 as everything on such values.
template <class From, bool Brain, bool Store>
void cast_half(void* out, const void* a, const void*, const void*, int64_t n) {
  const From* __restrict x = static_cast<const From*>(a);
  for (int64_t i = 0; i < n; ++i) {
    const auto v = static_cast<float>(x[i]);
    const uint16_t bits = Brain ? to_bf16(v) : to_f16(v);
    if constexpr (Store) static_cast<uint16_t* __restrict>(out)[i] = bits;
    else static_cast<float* __restrict>(out)[i] = Brain ? from_bf16(bits) : from_f16(bits);
  }
}

#ifdef __F16C__
void store_f16(void* out, const void* a, const void*, const void*, int64_t n) {
  uint16_t* o = static_cast<uint16_t*>(out);
  const float* x = static_cast<const float*>(a);
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(o + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  for (; i < n; ++i) o[i] = to_f16(x[i]);
}
#endif

template <class From, bool Store>
TileFn find_cast_from(DType to) {
  switch (to) {
    case DType::f64: return cast_loop<double, From>;
    case DType::f32: return cast_loop<float, From>;
    case DType::f16:
#ifdef __F16C__
      if constexpr (Store && __is_same(From, float)) return store_f16;
#endif
      return cast_half<From, false, Store>;
    case DType::bf16: return cast_half<From, true, Store>;
    case DType::i64: return cast_loop<int64_t, From>;
    case DType::i32: return cast_loop<int32_t, From>;
    case DType::i16: return cast_loop<int16_t, From>;
    case DType::i8: return cast_loop<int8_t, From>;
    case DType::u64: return cast_loop<uint64_t, From>;
    case DType::u32: return cast_loop<uint32_t, From>;
    case DType::u16: return cast_loop<uint16_t, From>;
    case DType::u8: return cast_loop<uint8_t, From>;
    case DType::boolean: return cast_bool<From>;
  }
  return nullptr;
}

template <bool Store>
TileFn find_cast(DType from, DType to) {
  switch (from) {
    case DType::f64: return find_cast_from<double, Store>(to);
    case DType::f32:
    case DType::f16:
    case DType::bf16: return find_cast_from<float, Store>(to);
    case DType::i64: return find_cast_from<int64_t, Store>(to);
    case DType::i32: return find_cast_from<int32_t, Store>(to);
    case DType::i16: return find_cast_from<int16_t, Store>(to);
    case DType::i8: return find_cast_from<int8_t, Store>(to);
    case DType::u64: return find_cast_from<uint64_t, Store>(to);
    case DType::u32: return find_cast_from<uint32_t, Store>(to);
    case DType::u16: return find_cast_from<uint16_t, Store>(to);
    case DType::u8:
    case DType::boolean: return find_cast_from<uint8_t, Store>(to);
  }
  return nullptr;
}

TileFn find_cast_value(DType from, DType to) { return find_cast<false>(from, to); }
TileFn find_cast_store(DType from, DType to) { return find_cast<true>(from, to); }
