// BitCast. 32- and 64-bit types have an op; narrower floats are put together from the fields of
// binary32, which carries them.
#include <cmath>

#include "frontend/onnx/row.h"
#include "frontend/onnx/stored.h"

namespace lathe::onnx {
namespace {

Expr i32(const Expr& like, int64_t value) {
  return integer_constant(*like.graph, DType::i32, value);
}

DType unsigned_of(int bits) {
  return bits <= 8 ? DType::u8 : bits == 16 ? DType::u16 : bits == 32 ? DType::u32 : DType::u64;
}

SmallFloat format_of(ElemType t) {
  if (t == ElemType::Float16) return {5, 10, 15, true, false, true};
  return small_float(t);
}

// Sign, exponent and mantissa of values that the format has, from those of binary32.
Expr pattern_of(const Expr& x, const SmallFloat& f) {
  const Expr bits = bitcast(x, DType::i32), size = bit_and(bits, i32(x, 0x7fffffff));
  const int drop = 23 - f.mantissa_bits, width = f.exponent_bits + f.mantissa_bits;
  const Expr kept = shift_right(size, i32(x, drop));
  const Expr normal = kept - static_cast<double>((127 - f.bias) << f.mantissa_bits);
  const Expr steps = abs(x) * std::ldexp(1.0, f.bias - 1 + f.mantissa_bits);
  Expr pattern = select(lt(abs(x), std::ldexp(1.0, 1 - f.bias)), cast(steps, DType::i32), normal);
  const int64_t all = (int64_t{1} << width) - 1;
  const Expr beyond = f.infinities ? bit_and(kept, i32(x, all)) : i32(x, f.negative_nan ? 0 : all);
  pattern = select(lt(size, 0x7f800000), pattern, beyond);
  const Expr negative = lt(bits, 0);
  const Expr sign = f.negative_nan ? bit_or(negative, ne(x, x)) : negative;
  return select(sign, bit_or(pattern, i32(x, int64_t{1} << width)), pattern);
}

Expr half_value(const Expr& pattern) {
  const Expr size = bit_and(pattern, i32(pattern, 0x7fff));
  const Expr moved = shift_left(size, i32(size, 13));
  const Expr normal = bitcast(moved + static_cast<double>(112 << 23), DType::f32);
  const Expr special = bitcast(bit_or(moved, i32(size, 0x7f800000)), DType::f32);
  const Expr subnormal = cast(size, DType::f32) * 0x1p-24;
  const Expr value = select(lt(size, 0x400), subnormal, select(lt(size, 0x7c00), normal, special));
  return select(eq(size, pattern), value, -value);
}

// Unsigned, of the type's width.
Expr to_bits(const Expr& x, ElemType t) {
  const DType type = unsigned_of(info(t).bits);
  const bool is_small = is_stored_only(t) && is_float(carrier(t));
  if (t == ElemType::BFloat16) {
    const Expr bits = bitcast(cast(x, DType::f32), DType::u32);
    return cast(shift_right(bits, integer_constant(*x.graph, DType::u32, 16)), type);
  }
  if (t == ElemType::Float8E8M0)  // the exponent field of binary32
    return cast(shift_right(bitcast(x, DType::i32), i32(x, 23)), type);
  if (t == ElemType::Float16 || is_small)
    return cast(pattern_of(cast(x, DType::f32), format_of(t)), type);
  if (is_float(x.dtype())) return bitcast(x, type);
  return cast_to_elem(x, info(t).bits == 4   ? ElemType::UInt4
                         : info(t).bits == 2 ? ElemType::UInt2
                                             : elem_of(type));
}

Expr from_bits(const Expr& bits, ElemType t) {
  if (t == ElemType::BFloat16) {
    const Expr wide = cast(bits, DType::u32);
    const Expr moved = shift_left(wide, integer_constant(*bits.graph, DType::u32, 16));
    return cast(bitcast(moved, DType::f32), DType::bf16);
  }
  if (t == ElemType::Float16) return cast(half_value(cast(bits, DType::i32)), DType::f16);
  if (is_stored_only(t) && is_float(carrier(t))) {
    std::vector<float> values;
    for (int i = 0; i < 1 << info(t).bits; ++i)
      values.push_back(small_float_value(t, static_cast<uint8_t>(i)));
    const Expr table = constant(*bits.graph, Tensor::from<float>({std::ssize(values)}, values));
    return gather(table, bits, 0);
  }
  return is_float(carrier(t)) ? bitcast(bits, carrier(t)) : cast_to_elem(bits, t);
}

void bit_cast(OpContext& c) {
  const ElemType from = c.elem(0), to = elem_type(c.attr_int("to"));
  if (to == ElemType::Undefined || from == ElemType::String || to == ElemType::String)
    fail("the bits of {} as {}", name(from), name(to));
  if (info(from).bits != info(to).bits)
    fail("the {} bits of {} as {}, which has {}", info(from).bits, name(from), name(to),
         info(to).bits);
  c.out(from == to ? c.expr(0) : from_bits(to_bits(c.expr(0), from), to), to);
}

constexpr OpRow kRows[] = {{"BitCast", 26, bit_cast}};

}  // namespace

std::span<const OpRow> bits_rows() { return kRows; }

}  // namespace lathe::onnx
