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

template <int Rows, int Vectors>
void gemm_runs(const GemmRuns& of) {
  using B = Batch<float>;
  const GemmTile<float> t = of.tile;
  const float* const* starts = of.a;
  B acc[Rows][Vectors];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) acc[r][v] = B(0.0f);
  const float* b = t.b;
  const int64_t a_step = t.a_step, b_step = t.b_step;
  for (int64_t run = of.runs; run > 0; --run, starts += Rows) {
    const float* a[Rows];
    for (int r = 0; r < Rows; ++r) a[r] = starts[r];
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
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) acc[r][v].store_unaligned(t.c + r * t.c_row + v * kVector);
}

template <class T, int Rows, int Vectors>
constexpr GemmFn<T> tile_of() {
  if constexpr (Rows <= kRows) return gemm_tile<T, Rows, Vectors>;
  else return nullptr;
}
template <int Rows, int Vectors>
constexpr GemmRunsFn runs_of() {
  if constexpr (Rows <= kRows) return gemm_runs<Rows, Vectors>;
  else return nullptr;
}
constexpr GemmRunsTable gemm_runs_table() {
  return {.wide = {nullptr, runs_of<1, 2>(), runs_of<2, 2>(), runs_of<3, 2>(), runs_of<4, 2>(),
                   runs_of<5, 2>(), runs_of<6, 2>(), runs_of<7, 2>(), runs_of<8, 2>()},
          .narrow = {nullptr, runs_of<1, 1>(), runs_of<2, 1>(), runs_of<3, 1>(), runs_of<4, 1>(),
                     runs_of<5, 1>(), runs_of<6, 1>(), runs_of<7, 1>(), runs_of<8, 1>()}};
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

// Rows [r, r + Rows) and columns [j, j + Vectors * kVector) of `taps`: eight accumulators hide the
// latency, and what b gives serves all rows where they share it.
template <class V, int Rows, int Vectors>
LATHE_INLINE void tap_block(const TapTile& t, int64_t n, int64_t r, int64_t j) {
  using B = Batch<float>;
  B acc[Rows][Vectors];
  for (int i = 0; i < Rows; ++i)
    for (int v = 0; v < Vectors; ++v) acc[i][v] = B(t.identity);
  for (int64_t tap = 0; tap < t.taps; ++tap) {
    const int64_t row = t.a_row[tap];
    const float* a = t.a[tap] + r * row + j;
    if constexpr (__is_same(V, FmaV)) {
      const float* b = t.b[tap] + r * t.b_row + j;
      B factor[Vectors];
      for (int v = 0; v < Vectors; ++v) factor[v] = B::load_unaligned(b + v * kVector);
      for (int i = 0; i < Rows; ++i) {
        for (int v = 0; v < Vectors; ++v)
          acc[i][v] = V::of(B::load_unaligned(a + v * kVector), factor[v], acc[i][v]);
        a += row;
      }
    } else {
      for (int i = 0; i < Rows; ++i) {
        for (int v = 0; v < Vectors; ++v) {
          const B x = B::load_unaligned(a + v * kVector);
          acc[i][v] = V::of(acc[i][v], x, x);
        }
        a += row;
      }
    }
  }
  for (int i = 0; i < Rows; ++i)
    for (int v = 0; v < Vectors; ++v)
      acc[i][v].store_unaligned(t.acc + (r + i) * n + j + v * kVector);
}

template <class V, int Vectors>
LATHE_INLINE void tap_columns(const TapTile& t, int64_t n, int64_t j) {
  constexpr int rows = 8 / Vectors;
  int64_t r = 0;
  if (t.b_row == 0)
    for (; r + rows <= t.rows; r += rows) tap_block<V, rows, Vectors>(t, n, r, j);
  for (; r < t.rows; ++r) tap_block<V, 1, Vectors>(t, n, r, j);
}

// The last columns are computed again in part, by a whole vector, rather than one by one.
template <class F, class V>
void taps(const TapTile& t, int64_t n) {
  int64_t j = 0;
  for (; j + 4 * kVector <= n; j += 4 * kVector) tap_columns<V, 4>(t, n, j);
  if (j + 2 * kVector <= n) tap_columns<V, 2>(t, n, j), j += 2 * kVector;
  if (j + kVector <= n) tap_columns<V, 1>(t, n, j), j += kVector;
  if (j < n && (n >= kVector || t.whole))
    return tap_columns<V, 1>(t, n, n >= kVector ? n - kVector : 0);
  if (j == n) return;
  for (int64_t r = 0; r < t.rows; ++r)
    for (int64_t i = j; i < n; ++i) {
      float acc = t.identity;
      for (int64_t tap = 0; tap < t.taps; ++tap)
        acc = combine_one<F>(acc, t.a[tap][r * t.a_row[tap] + i],
                             __is_same(F, FmaOf) ? t.b[tap][r * t.b_row + i] : 0.0f);
      t.acc[r * n + i] = acc;
    }
}

TapsFn find_taps(Combine combine) {
  switch (combine) {
    case Combine::Add: return taps<AddOf, AddV>;
    case Combine::Max: return taps<MaxOf, MaxV>;
    case Combine::Min: return taps<MinOf, MinV>;
    case Combine::Mul: return taps<MulOf, MulV>;
    case Combine::Fma: return taps<FmaOf, FmaV>;
    default: return nullptr;
  }
}
