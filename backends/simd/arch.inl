// Everything compiled once per ISA. No include guard: included by exactly one arch_*.cpp each.
//
// One inline function that escapes from here with AVX code in it is an illegal instruction on an
// older CPU, so all of it lives in an anonymous namespace of a namespace of its own, standard
// library templates are not used, and the shared constexpr helpers of dtype.h are not called.
// tests/check_simd_symbols.py checks the object files.
#include <cstdint>
#include <cstring>
#include <xsimd/xsimd.hpp>

#include "backends/simd/table.h"

namespace lathe::LATHE_SIMD_NAMESPACE {

using simd::FoldFn;
using simd::GemmFn;
using simd::GemmRuns;
using simd::GemmRunsFn;
using simd::GemmRunsTable;
using simd::GemmTable;
using simd::GemmTile;
using simd::kMaxGemmRows;
using simd::kMostLinks;
using simd::Link;
using simd::LinkOp;
using simd::Table;
using simd::TapsFn;
using simd::TapTile;
using simd::TileFn;

namespace {
using Arch = LATHE_SIMD_ARCH;
template <class T>
using Batch = xsimd::batch<T, Arch>;

#define LATHE_INLINE inline __attribute__((always_inline))

#include "backends/simd/scalars.inl"
//
#include "backends/simd/elementwise.inl"
//
#include "backends/simd/vectors.inl"
//
#include "backends/simd/function_code.inl"
//
#include "backends/simd/convert.inl"
//
#include "backends/simd/fold.inl"
//
#include "backends/simd/gemm.inl"
//
#include "backends/simd/chain.inl"

constexpr Table kTable{
    .op = find_op,
    .choose = find_choose,
    .cast_value = find_cast_value,
    .cast_store = find_cast_store,
    .f16_load = load_f16,
    .bf16_load = load_bf16,
    .fold_lanes = find_fold_lanes,
    .fold_sequential = find_fold_sequential,
    .gemm_rows = kRows,
    .gemm_width = kWidth,
    .vector = kVector,
    .gemm_f32 = gemm_table<float>(),
    .gemm_i32 = gemm_table<int32_t>(),
    .gemm_runs = gemm_runs_table(),
    .gemm_row = gemm_row,
    .taps = find_taps,
    .chain = chain,
    .function = find_function,
};
}  // namespace

}  // namespace lathe::LATHE_SIMD_NAMESPACE
