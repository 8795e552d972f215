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

// The same with k cut into runs of tile.k each, every one at places of its own: a[run][r] is where
// row r begins it.
struct GemmRuns {
  GemmTile<float> tile;
  const float* const* a;
  int64_t runs;
};
using GemmRunsFn = void (*)(const GemmRuns& t);

// acc[r][0..n) = what folding a[tap][r][0..n), or for Fma a[tap][r][0..n) * b[tap][r][0..n), over
// the taps in order makes of `identity`, for r < rows. Rows of a and b are as far apart as `a_row`
// and `b_row` say for each tap, those of acc follow each other.
struct TapTile {
  const float* const* a;
  const int64_t* a_row;
  const float* const* b;
  int64_t b_row;
  int64_t taps, rows;
  float identity;
  float* acc;
  // Rows shorter than a vector are read and written as whole ones: what follows a row in memory may
  // be read, and what follows it in acc overwritten.
  bool whole = false;
};
using TapsFn = void (*)(const TapTile& t, int64_t n);

// What becomes of a running f32 value x beside operands b and c. Of the choices by a comparison,
// `If` names when x stays, beside b, and `Unless` when it does not.
enum class LinkOp : uint8_t {
  None,
  Add,
  Sub,
  SubFrom,  // b - x
  Mul,
  Div,
  DivInto,  // b / x
  Max,
  MaxOf,  // b first
  Min,
  MinOf,       // b first
  FmaFactor,   // x * b + c
  FmaSum,      // b * c + x
  IfLess,      // x < b ? x : b
  IfMore,      // b < x ? x : b
  UnlessLess,  // x < b ? b : x
  UnlessMore,  // b < x ? b : x
  IfLeast,     // x <= b ? x : b
  IfMost,      // b <= x ? x : b
  UnlessLeast,
  UnlessMost,
};
inline constexpr size_t kMostLinks = 8;
struct Link {
  int code;  // 4 * the LinkOp, + 1 where b is a tile and not one value, + 2 where c is
  const float *b, *c;
};
using ChainFn = void (*)(const Link* links, int count, float* out, const float* in, int64_t n);

inline constexpr int kMaxGemmRows = 8;

// By rows.
template <class T>
struct GemmTable {
  GemmFn<T> wide[kMaxGemmRows + 1];    // Table::gemm_width columns
  GemmFn<T> narrow[kMaxGemmRows + 1];  // half as many
};

struct GemmRunsTable {
  GemmRunsFn wide[kMaxGemmRows + 1];
  GemmRunsFn narrow[kMaxGemmRows + 1];
};

struct Table {
  // Bit i of `uniform`: operand i is one value for the whole tile. Null: no such variant; variant 0
  // exists for every valid combination. `type` is the compute type of the first value operand.
  TileFn (*op)(Scalar op, DType type, int uniform);
  // Of f32: the choice that a comparison of operands 0 and 1, Lt or Le, makes between two of the
  // operands. Null: no such variant.
  TileFn (*choose)(Scalar compare, int if_true, int if_false, int uniform);
  // From a compute type. cast_value gives the compute type of `to`, rounded to `to`'s precision;
  // cast_store gives its storage form.
  TileFn (*cast_value)(DType from, DType to);
  TileFn (*cast_store)(DType from, DType to);
  TileFn f16_load, bf16_load;  // storage to f32
  FoldFn (*fold_lanes)(Combine combine, DType type);
  FoldFn (*fold_sequential)(Combine combine, DType type);
  int gemm_rows, gemm_width;  // register tile
  int vector;                 // floats
  GemmTable<float> gemm_f32;
  GemmTable<int32_t> gemm_i32;
  GemmRunsTable gemm_runs;
  void (*gemm_row)(const GemmTile<float>& t, int64_t columns);  // one row, any number of columns
  TapsFn (*taps)(Combine combine);  // null for those that are not of f32
  ChainFn chain;
  TileFn (*function)(int function, int uniform);  // as functions.h numbers them
};

const Table& table_sse42();
const Table& table_avx2();
const Table& table_avx512();

// Null for Isa::scalar.
const Table* find_table(Isa isa);

}  // namespace lathe::simd
