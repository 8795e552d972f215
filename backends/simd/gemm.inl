// Register tiles of a contraction: accumulators stay in registers over all of k, each output
// element takes its products in order.
//
// Register budget: avx512 8x32 = 16 accumulators + 2 of B + 1 broadcast of 32; avx2 6x16 = 12 + 2
// + 1 of 16; sse42 4x8 = 8 + 2 + 1 + 1 product of 16.

constexpr int kVector = static_cast<int>(Batch<float>::size);
constexpr int kRows = kVector == 16 ? 8 : kVector == 8 ? 6 : 4;
constexpr int kWidth = 2 * kVector;

LATHE_INLINE Batch<float> multiply_add(Batch<float> a, Batch<float> b, Batch<float> c) {
  return FmaV::of(a, b, c);
}
LATHE_INLINE Batch<int32_t> multiply_add(Batch<int32_t> a, Batch<int32_t> b, Batch<int32_t> c) {
  return a * b + c;
}

template <class T, int Rows, int Vectors>
void gemm_tile(const GemmTile<T>& tile) {
  const GemmTile<T> t = tile;  // a copy, which stores to c cannot change
  using B = Batch<T>;
  B acc[Rows][Vectors];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v)
      acc[r][v] = t.accumulate ? B::load_unaligned(t.c + r * t.c_row + v * kVector) : B(T(0));
  const T* b = t.b;
  const T* a[Rows];
  for (int r = 0; r < Rows; ++r) a[r] = t.a + r * t.a_row;
  const int64_t a_step = t.a_step, b_step = t.b_step;
  for (int64_t k = t.k; k > 0; --k) {
    B column[Vectors];
    for (int v = 0; v < Vectors; ++v) column[v] = B::load_unaligned(b + v * kVector);
    for (int r = 0; r < Rows; ++r) {
      const B x(*a[r]);
      for (int v = 0; v < Vectors; ++v) acc[r][v] = multiply_add(x, column[v], acc[r][v]);
      a[r] += a_step;
    }
    b += b_step;
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) acc[r][v].store_unaligned(t.c + r * t.c_row + v * kVector);
}

template <class T, int Rows, int Vectors>
constexpr GemmFn<T> tile_of() {
  if constexpr (Rows <= kRows) return gemm_tile<T, Rows, Vectors>;
  else return nullptr;
}
template <class T>
constexpr GemmTable<T> gemm_table() {
  return {.wide = {nullptr, tile_of<T, 1, 2>(), tile_of<T, 2, 2>(), tile_of<T, 3, 2>(),
                   tile_of<T, 4, 2>(), tile_of<T, 5, 2>(), tile_of<T, 6, 2>(), tile_of<T, 7, 2>(),
                   tile_of<T, 8, 2>()},
          .narrow = {nullptr, tile_of<T, 1, 1>(), tile_of<T, 2, 1>(), tile_of<T, 3, 1>(),
                     tile_of<T, 4, 1>(), tile_of<T, 5, 1>(), tile_of<T, 6, 1>(), tile_of<T, 7, 1>(),
                     tile_of<T, 8, 1>()}};
}

// One row: the sums stay in L1 and B streams past them four rows at a time, which memory likes
// better than the columns of a register tile.
void gemm_row(const GemmTile<float>& tile, int64_t columns) {
  using B = Batch<float>;
  const GemmTile<float> t = tile;
  if (!t.accumulate) __builtin_memset(t.c, 0, static_cast<size_t>(columns) * sizeof(float));
  int64_t k = 0;
  for (; k + 4 <= t.k; k += 4) {
    const float *a = t.a + k * t.a_step, *b0 = t.b + k * t.b_step;
    const float *b1 = b0 + t.b_step, *b2 = b1 + t.b_step, *b3 = b2 + t.b_step;
    const B x0(a[0]), x1(a[t.a_step]), x2(a[2 * t.a_step]), x3(a[3 * t.a_step]);
    int64_t j = 0;
    for (; j + kVector <= columns; j += kVector) {
      B c = FmaV::of(x0, B::load_unaligned(b0 + j), B::load_unaligned(t.c + j));
      c = FmaV::of(x1, B::load_unaligned(b1 + j), c);
      c = FmaV::of(x2, B::load_unaligned(b2 + j), c);
      FmaV::of(x3, B::load_unaligned(b3 + j), c).store_unaligned(t.c + j);
    }
    for (; j < columns; ++j) {
      float c = FmaOf::of(a[0], b0[j], t.c[j]);
      c = FmaOf::of(a[t.a_step], b1[j], c);
      c = FmaOf::of(a[2 * t.a_step], b2[j], c);
      t.c[j] = FmaOf::of(a[3 * t.a_step], b3[j], c);
    }
  }
  for (; k < t.k; ++k) {
    const float x = t.a[k * t.a_step];
    const float* b = t.b + k * t.b_step;
    for (int64_t j = 0; j < columns; ++j) t.c[j] = FmaOf::of(x, b[j], t.c[j]);
  }
}

// Columns [j, j + Vectors * kVector) of `taps`: sums in registers, four vectors to hide the
// latency.
template <int Vectors>
LATHE_INLINE void tap_columns(const float* const* a, const float* const* b, int64_t taps,
                              float* acc, int64_t j) {
  using B = Batch<float>;
  B sum[Vectors];
  for (int v = 0; v < Vectors; ++v) sum[v] = B(0.0f);
  for (int64_t t = 0; t < taps; ++t)
    for (int v = 0; v < Vectors; ++v)
      sum[v] = FmaV::of(B::load_unaligned(a[t] + j + v * kVector),
                        B::load_unaligned(b[t] + j + v * kVector), sum[v]);
  for (int v = 0; v < Vectors; ++v) sum[v].store_unaligned(acc + j + v * kVector);
}

void taps(const float* const* a, const float* const* b, int64_t taps, float* acc, int64_t n) {
  int64_t j = 0;
  for (; j + 4 * kVector <= n; j += 4 * kVector) tap_columns<4>(a, b, taps, acc, j);
  if (j + 2 * kVector <= n) tap_columns<2>(a, b, taps, acc, j), j += 2 * kVector;
  if (j + kVector <= n) tap_columns<1>(a, b, taps, acc, j), j += kVector;
  for (; j < n; ++j) {
    float sum = 0;
    for (int64_t t = 0; t < taps; ++t) sum = FmaOf::of(a[t][j], b[t][j], sum);
    acc[j] = sum;
  }
}
