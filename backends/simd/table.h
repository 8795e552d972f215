// The leaf loops of the xsimd backend, one table an ISA. Everything above the table is compiled for
// the baseline CPU; everything below it only in arch_*.cpp, with that ISA's flags.
#pragma once

#include <cstdint>

#include "ir/base/target.h"
#include "ir/kernel.h"

namespace lathe::simd {

// out[i] = f(a[i], b[i], c[i]) for i < n; unused inputs are null. `out` may be the same array as an
// input (never a shifted one).
using TileFn = void (*)(void* out, const void* a, const void* b, const void* c, int64_t n);

// Folds n values of a (and b, for Fma) into `acc`: 32 lanes, lane i mod 32, or one value in order.
using FoldFn = void (*)(void* acc, const void* a, const void* b, int64_t n);

// c[r][0..width) = (accumulate ? c : 0) + sum over k, in order, of a[r][k] * b[k][0..width), with
// a[r][k] = a[r * a_row + k * a_step], b[k] = b + k * b_step, c[r] = c + r * c_row; units are
// elements.
template <class T>
struct GemmTile {
  int64_t k;
  const T* a;
  int64_t a_row, a_step;
  const T* b;
  int64_t b_step;
  T* c;
  int64_t c_row;
  bool accumulate;
};
template <class T>
using GemmFn = void (*)(const GemmTile<T>& t);

// acc[0..n) = what folding a[tap][0..n), or for Fma a[tap][0..n) * b[tap][0..n), over the taps in
// order makes of `identity`.
struct TapTile {
  const float* const* a;
  const float* const* b;
  int64_t taps;
  float identity;
  float* acc;
};
using TapsFn = void (*)(const TapTile& t, int64_t n);

inline constexpr int kMaxGemmRows = 8;

// By rows.
template <class T>
struct GemmTable {
  GemmFn<T> wide[kMaxGemmRows + 1];    // Table::gemm_width columns
  GemmFn<T> narrow[kMaxGemmRows + 1];  // half as many
};

struct Table {
  // Bit i of `uniform`: operand i is one value for the whole tile. Null: no such variant; variant 0
  // exists for every valid combination. `type` is the compute type of the first value operand.
  TileFn (*op)(Scalar op, DType type, int uniform);
  // From a compute type. cast_value gives the compute type of `to`, rounded to `to`'s precision;
  // cast_store gives its storage form.
  TileFn (*cast_value)(DType from, DType to);
  TileFn (*cast_store)(DType from, DType to);
  TileFn f16_load, bf16_load;  // storage to f32
  FoldFn (*fold_lanes)(Combine combine, DType type);
  FoldFn (*fold_sequential)(Combine combine, DType type);
  int gemm_rows, gemm_width;  // register tile
  GemmTable<float> gemm_f32;
  GemmTable<int32_t> gemm_i32;
  void (*gemm_row)(const GemmTile<float>& t, int64_t columns);  // one row, any number of columns
  TapsFn (*taps)(Combine combine);  // null for those that are not of f32
};

const Table& table_sse42();
const Table& table_avx2();
const Table& table_avx512();

// Null for Isa::scalar.
const Table* find_table(Isa isa);

}  // namespace lathe::simd
