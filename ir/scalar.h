// Scalar functions of Kernel IR and their exact meaning.
//
// Values have a DType. A value of type f16 or bf16 is a binary32 value that the 16-bit format can
// hold: every scalar takes it as f32, and only Load (exactly) and Cast (rounding) produce it; the
// type of every other result, constants included, is never f16 or bf16. Argument types match when
// their compute types do. Every backend implements the machine scalars to the bit:
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
//                 to bool: value != 0; from bool: 0 or 1. To f16 and bf16: a cast to f32, then
//                 from there to the 16-bit format (two roundings for f64 and wide integers).
//   Bitcast       same width, bits kept (f32<->i32/u32, f64<->i64/u64).
// Types: arguments and result of one type (numbers for arithmetic, floats only for Sqrt Floor Ceil
// Trunc RoundEven), except as said above; comparisons and Select take bool as well.
// The C++ of all this: ir/scalar_eval.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "ir/base/dtype.h"

namespace lathe {

enum class Scalar : uint8_t {
#define SCALAR(id, text, operands) id,
#define EXPANDED(id, text, operands) id,
#include "ir/scalar.def"
};

enum class ScalarClass : uint8_t { machine, expanded };

struct ScalarInfo {
  std::string_view name;
  int operands;
  ScalarClass cls;
};

inline constexpr ScalarInfo kScalars[] = {
#define SCALAR(id, text, operands) {text, operands, ScalarClass::machine},
#define EXPANDED(id, text, operands) {text, operands, ScalarClass::expanded},
#include "ir/scalar.def"
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
