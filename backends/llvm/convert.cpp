// Conversions between types, and between a value and its form in memory.
#include <cmath>

#include "backends/llvm/scalar_ops.h"

namespace lathe::codegen {

using llvm::Value;

Value* ScalarOps::cast(Value* v, DType from, DType to) {
  const DType a = compute_type(from), z = compute_type(to);
  llvm::Type* out = shaped(v, type(z));
  if (a == z) return round_to_storage(v, to);
  if (z == DType::boolean) {
    Value* zero = llvm::Constant::getNullValue(v->getType());
    return is_float(a) ? b_.CreateFCmpUNE(v, zero) : b_.CreateICmpNE(v, zero);
  }
  if (is_float(a) && is_float(z))
    return round_to_storage(a == DType::f64 ? b_.CreateFPTrunc(v, out) : b_.CreateFPExt(v, out),
                            to);
  if (is_float(a)) return float_to_integer(v, a, z);
  if (is_float(z)) {
    Value* f = is_signed(a) ? b_.CreateSIToFP(v, out) : b_.CreateUIToFP(v, out);
    return round_to_storage(f, to);
  }
  return is_signed(a) ? b_.CreateSExtOrTrunc(v, out) : b_.CreateZExtOrTrunc(v, out);
}

// LLVM takes the saturating intrinsics of a vector apart into its elements, which costs several
// times what the values themselves do; so out-of-range values are replaced, then all converted.
Value* ScalarOps::float_to_integer(Value* v, DType from, DType to) {
  const bool sign = is_signed(to);
  llvm::Type* out = shaped(v, type(to));
  if (lanes_of(v) == 1)
    return b_.CreateIntrinsic(sign ? llvm::Intrinsic::fptosi_sat : llvm::Intrinsic::fptoui_sat,
                              {out, v->getType()}, {v});
  const int bits = 8 * info(to).bytes, digits = sign ? bits - 1 : bits;
  const int precision = from == DType::f64 ? 53 : 24;
  const auto number = [&](double x) { return llvm::ConstantFP::get(v->getType(), x); };
  Value* least = number(sign ? -std::ldexp(1.0, digits) : 0.0);
  Value* x = b_.CreateSelect(b_.CreateFCmpUNO(v, v), number(0), v);
  x = b_.CreateSelect(b_.CreateFCmpOGT(x, least), x, least);
  const auto convert = [&](Value* inside) {
    llvm::Type* wide = bits < 32 ? shaped(v, b_.getInt32Ty()) : out;
    Value* i = sign || bits < 32 ? b_.CreateFPToSI(inside, wide) : b_.CreateFPToUI(inside, wide);
    return b_.CreateTrunc(i, out);
  };
  if (digits <= precision) {  // the largest integer is a number of this type
    Value* most = number(std::ldexp(1.0, digits) - 1);
    return convert(b_.CreateSelect(b_.CreateFCmpOLT(x, most), x, most));
  }
  Value* beyond = b_.CreateFCmpOGE(x, number(std::ldexp(1.0, digits)));
  Value* inside = convert(b_.CreateSelect(beyond, number(0), x));
  const auto wide = static_cast<unsigned>(bits);
  const llvm::APInt most =
      sign ? llvm::APInt::getSignedMaxValue(wide) : llvm::APInt::getMaxValue(wide);
  return b_.CreateSelect(beyond, llvm::ConstantInt::get(out, most), inside);
}

Value* ScalarOps::round_to_storage(Value* v, DType t) {
  if (t != DType::f16 && t != DType::bf16) return v;
  return from_memory(to_memory(v, t), t);
}

Value* ScalarOps::from_memory(Value* v, DType t) {
  if (t == DType::boolean) return b_.CreateICmpNE(v, same(v, 0));
  if (t == DType::f16) return half_to_float(v);
  if (t != DType::bf16) return v;
  Value* wide = b_.CreateZExt(v, shaped(v, b_.getInt32Ty()));
  return b_.CreateBitCast(b_.CreateShl(wide, same(wide, 16)), shaped(v, b_.getFloatTy()));
}

Value* ScalarOps::to_memory(Value* v, DType t) {
  if (t == DType::boolean) return b_.CreateZExt(v, shaped(v, b_.getInt8Ty()));
  if (t == DType::f16) return float_to_half(v);
  if (t == DType::bf16) return float_to_bf16(v);
  return v;
}

Value* ScalarOps::float_to_bf16(Value* v) {
  Value* u = b_.CreateBitCast(v, shaped(v, b_.getInt32Ty()));
  Value* high = b_.CreateLShr(u, same(u, 16));
  Value* odd = b_.CreateAnd(high, same(u, 1));
  Value* rounded = b_.CreateLShr(b_.CreateAdd(u, b_.CreateAdd(odd, same(u, 0x7fff))), same(u, 16));
  Value* quiet = b_.CreateOr(high, same(u, 0x40));
  Value* bits = b_.CreateSelect(b_.CreateFCmpUNO(v, v), quiet, rounded);
  return b_.CreateTrunc(bits, shaped(v, b_.getInt16Ty()));
}

// With F16C the conversion instructions; otherwise on integers.
Value* ScalarOps::half_to_float(Value* h) {
  llvm::Type* f32 = shaped(h, b_.getFloatTy());
  if (target_.instructions >= Isa::avx2)
    return b_.CreateFPExt(b_.CreateBitCast(h, shaped(h, b_.getHalfTy())), f32);
  Value* u = b_.CreateZExt(h, shaped(h, b_.getInt32Ty()));
  Value* magnitude = b_.CreateAnd(u, same(u, 0x7fff));
  Value* sign = b_.CreateShl(b_.CreateAnd(u, same(u, 0x8000)), same(u, 16));
  // The exponent is rebased by a multiplication with 2^112, which normalises denormals too.
  Value* small = b_.CreateBitCast(b_.CreateShl(magnitude, same(u, 13)), f32);
  Value* scaled = b_.CreateFMul(small, llvm::ConstantFP::get(f32, 0x1p112));
  Value* special = b_.CreateICmpUGE(magnitude, same(u, 0x7c00));
  Value* bits = b_.CreateBitCast(scaled, u->getType());
  bits = b_.CreateSelect(special, b_.CreateOr(bits, same(u, 0x7f800000)), bits);
  return b_.CreateBitCast(b_.CreateOr(bits, sign), f32);
}

Value* ScalarOps::float_to_half(Value* v) {
  llvm::Type* i16 = shaped(v, b_.getInt16Ty());
  if (target_.instructions >= Isa::avx2)
    return b_.CreateBitCast(b_.CreateFPTrunc(v, shaped(v, b_.getHalfTy())), i16);
  Value* u = b_.CreateBitCast(v, shaped(v, b_.getInt32Ty()));
  Value* f = b_.CreateAnd(u, same(u, 0x7fffffff));
  Value* sign = b_.CreateLShr(b_.CreateXor(u, f), same(u, 16));
  // Below 2^-14: adding 0.5 rounds to the denormals' grid and leaves their bits at the bottom.
  Value* grid =
      b_.CreateFAdd(b_.CreateBitCast(f, v->getType()), llvm::ConstantFP::get(v->getType(), 0.5));
  Value* denormal = b_.CreateSub(b_.CreateBitCast(grid, u->getType()), same(u, 0x3f000000));
  Value* odd = b_.CreateAnd(b_.CreateLShr(f, same(u, 13)), same(u, 1));
  Value* rebased = b_.CreateAdd(f, b_.CreateAdd(odd, same(u, 0xc8000fffu)));
  Value* normal = b_.CreateLShr(rebased, same(u, 13));
  Value* bits = b_.CreateSelect(b_.CreateICmpULT(f, same(u, 0x38800000)), denormal, normal);
  Value* nan = b_.CreateICmpUGT(f, same(u, 0x7f800000));
  Value* special = b_.CreateSelect(nan, same(u, 0x7e00), same(u, 0x7c00));
  bits = b_.CreateSelect(b_.CreateICmpUGE(f, same(u, 0x47800000)), special, bits);
  return b_.CreateTrunc(b_.CreateOr(bits, sign), i16);
}

}  // namespace lathe::codegen
