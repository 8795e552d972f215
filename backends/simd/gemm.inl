// Register tiles of a contraction: accumulators stay in registers over all of k, each output
// element takes its products in order.
//
// Register budget: avx512 8x32 = 16 accumulators + 2 of B + 1 broadcast of 32; avx2 6x16 = 12 + 2
// + 1 of 16; sse42 4x8 = 8 + 2 + 1 + 1 product of 16.

constexpr int kVector = static_cast<int>(Batch<float>::size);
constexpr int kRows = kVector == 16 ? 8 : kVector == 8 ? 6 : 4;
constexpr int kWidth = 2 * kVector;

template <int Rows, int Vectors>
void gemm_tile(const GemmTile& tile) {
  const GemmTile t = tile;  // a copy, which stores to c cannot change
  using B = Batch<float>;
  B acc[Rows][Vectors];
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v)
      acc[r][v] = t.accumulate ? B::load_unaligned(t.c + r * t.c_row + v * kVector) : B(0.0f);
  const float* b = t.b;
  const float* a[Rows];
  for (int r = 0; r < Rows; ++r) a[r] = t.a + r * t.a_row;
  const int64_t a_step = t.a_step, b_step = t.b_step;
  for (int64_t k = t.k; k > 0; --k) {
    B column[Vectors];
    for (int v = 0; v < Vectors; ++v) column[v] = B::load_unaligned(b + v * kVector);
    for (int r = 0; r < Rows; ++r) {
      const B x(*a[r]);
      for (int v = 0; v < Vectors; ++v) acc[r][v] = FmaV::of(x, column[v], acc[r][v]);
      a[r] += a_step;
    }
    b += b_step;
  }
  for (int r = 0; r < Rows; ++r)
    for (int v = 0; v < Vectors; ++v) acc[r][v].store_unaligned(t.c + r * t.c_row + v * kVector);
}
