// ONNX element types and the dtypes that carry them.
//
// Lathe computes in its own dtypes. Element types that it only stores are held unpacked: float8*
// and float4 as f32 that are exactly their values, 4- and 2-bit integers as i8 or u8. Strings have
// no dtype and never enter a graph.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ir/base/dtype.h"

namespace lathe::onnx {

// The numbers of TensorProto.DataType.
enum class ElemType : int32_t {
  Undefined = 0,
  Float = 1,
  UInt8 = 2,
  Int8 = 3,
  UInt16 = 4,
  Int16 = 5,
  Int32 = 6,
  Int64 = 7,
  String = 8,
  Bool = 9,
  Float16 = 10,
  Double = 11,
  UInt32 = 12,
  UInt64 = 13,
  Complex64 = 14,
  Complex128 = 15,
  BFloat16 = 16,
  Float8E4M3FN = 17,
  Float8E4M3FNUZ = 18,
  Float8E5M2 = 19,
  Float8E5M2FNUZ = 20,
  UInt4 = 21,
  Int4 = 22,
  Float4E2M1 = 23,
  Float8E8M0 = 24,
  UInt2 = 25,
  Int2 = 26,
};

struct ElemInfo {
  std::string_view name;         // as in the standard, "float8e4m3fn"
  std::optional<DType> carrier;  // none: strings and complex numbers
  int bits;                      // of one stored element; 0 for strings
};

// Undefined for numbers that no type has.
ElemType elem_type(int64_t number);
const ElemInfo& info(ElemType t);
inline std::string_view name(ElemType t) { return info(t).name; }
ElemType elem_of(DType t);
// The dtype that carries t. A type without one is an Unsupported error.
DType carrier(ElemType t);
// True where the carrier is another type than the element's own.
bool is_stored_only(ElemType t);

// What the finite patterns of a float8 or float4 are (all but float8e8m0), and what it has beyond.
struct SmallFloat {
  int exponent_bits, mantissa_bits, bias;
  bool infinities;    // IEEE: the largest exponent holds infinity and NaN
  bool negative_nan;  // FNUZ: the pattern of -0 is the only NaN
  bool has_nan;
};
SmallFloat small_float(ElemType t);

// The value of a stored float8 or float4 pattern.
float small_float_value(ElemType t, uint8_t bits);
// How float8e8m0, which has powers of two only, rounds what lies between.
enum class PowerRounding : uint8_t { Up, Down, Nearest };

struct CastRules {
  bool saturate = true;
  PowerRounding round = PowerRounding::Up;
};

// The nearest pattern, ties to even; beyond the largest value the largest if it saturates, else
// infinity or NaN, whichever the type has. NaN as -0 where it has none, as ml_dtypes converts it.
uint8_t small_float_bits(ElemType t, float value, const CastRules& rules = {});

}  // namespace lathe::onnx
