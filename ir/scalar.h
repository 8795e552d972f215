// Scalar functions of Kernel IR and their exact meaning.
//
// Values have a DType. f16 and bf16 values are computed in binary32 by every scalar and rounded
// only by Cast and by stores; so the type of an arithmetic result is never f16 or bf16. Every
// backend implements the machine scalars to the bit:
//   Add Sub Mul Div Sqrt Fma Floor Ceil Trunc RoundEven   IEEE 754, round to nearest even; NaN
//       payloads are not specified. Integers wrap; Div and Rem truncate toward zero, x/0 = -1 with
//       all bits set (0 for Rem: x), MIN/-1 = MIN, Rem 0.
//   Rem (float)   fmod: x - trunc(x/y)*y computed exactly, sign of x.
//   Min Max       IEEE 754-2019 minimum/maximum without ordered zeros: if either is NaN, NaN; else
//                 (a < b ? a : b), (a > b ? a : b), so of equal operands the second is the result.
//   Abs Neg       floats: sign bit only. Integers wrap.
//   Scale2(x, n)  x * 2^n rounded once, n an i32 (f32) or i64 (f64) scalar. Defined for
//                 0.5 <= |x| <= 2 and -300 <= n <= 300 (f32), -2200 <= n <= 2200 (f64).
//   Eq Ne Lt Le   bool; IEEE for floats (NaN: only Ne is true).
//   And Or Xor Not Shl Shr   integers (and bool for the first four). Shr is arithmetic for signed
//                 types. A shift count outside [0, bits) gives 0 (arithmetic Shr: the sign fill).
//   Select(c,a,b) c ? a : b, on bits.
//   Cast          float->float rounds to nearest even; float->int truncates toward zero, saturates,
//                 NaN gives 0; int->float rounds to nearest even (once); int->int wraps;
//                 to bool: value != 0; from bool: 0 or 1.
//   Bitcast       same width, bits kept (f32<->i32/u32, f64<->i64/u64).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ir/base/dtype.h"

namespace lathe {

enum class Scalar : uint8_t {
#define SCALAR(id, text, operands, cls) id,
#include "ir/scalar.def"
#undef SCALAR
};

enum class ScalarClass : uint8_t { machine, expanded };

struct ScalarInfo {
  std::string_view name;
  int operands;
  ScalarClass cls;
};

inline constexpr ScalarInfo kScalars[] = {
#define SCALAR(id, text, operands, cls) {text, operands, ScalarClass::cls},
#include "ir/scalar.def"
#undef SCALAR
};
inline constexpr int kScalarCount = static_cast<int>(sizeof(kScalars) / sizeof(kScalars[0]));

constexpr const ScalarInfo& info(Scalar s) { return kScalars[static_cast<int>(s)]; }
constexpr std::string_view name(Scalar s) { return info(s).name; }

constexpr std::optional<Scalar> parse_scalar(std::string_view text) {
  for (int i = 0; i < kScalarCount; ++i)
    if (kScalars[i].name == text) return static_cast<Scalar>(i);
  return std::nullopt;
}

// The type arithmetic is done in: f32 for f16 and bf16, otherwise the type itself.
constexpr DType compute_type(DType t) {
  return t == DType::f16 || t == DType::bf16 ? DType::f32 : t;
}

}  // namespace lathe
