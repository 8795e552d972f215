#include "backends/llvm/scalar_ops.h"

#include "ir/base/error.h"

namespace lathe::codegen {

using llvm::Value;
using llvm::Intrinsic::ID;

int lanes_of(const Value* v) {
  const auto* t = llvm::dyn_cast<llvm::FixedVectorType>(v->getType());
  return t ? static_cast<int>(t->getNumElements()) : 1;
}

namespace {

llvm::Type* vector_of(llvm::Type* t, int lanes) {
  return lanes == 1 ? t : llvm::FixedVectorType::get(t, static_cast<unsigned>(lanes));
}

}  // namespace

llvm::Type* ScalarOps::type(DType t, int lanes) const {
  llvm::Type* element = nullptr;
  switch (compute_type(t)) {
    case DType::f64: element = b_.getDoubleTy(); break;
    case DType::boolean: element = b_.getInt1Ty(); break;
    case DType::f32: element = b_.getFloatTy(); break;
    default: element = b_.getIntNTy(8u * info(t).bytes); break;
  }
  return vector_of(element, lanes);
}

llvm::Type* ScalarOps::memory_type(DType t, int lanes) const {
  if (t == DType::f32 || t == DType::f64) return type(t, lanes);
  return vector_of(b_.getIntNTy(8u * info(t).bytes), lanes);
}

llvm::Type* ScalarOps::shaped(Value* like, llvm::Type* element) const {
  return vector_of(element, lanes_of(like));
}

Value* ScalarOps::same(Value* like, uint64_t v) const {
  return llvm::ConstantInt::get(like->getType(), v);
}

Value* ScalarOps::constant(DType t, double number, int64_t integer) const {
  if (!is_float(t)) {
    if (t == DType::boolean) return b_.getInt1(integer != 0);
    return llvm::ConstantInt::get(type(t), static_cast<uint64_t>(integer), is_signed(t));
  }
  if (t == DType::f64) return llvm::ConstantFP::get(b_.getContext(), llvm::APFloat(number));
  float v = static_cast<float>(number);
  if (t == DType::f16) v = f16_to_float(lathe::float_to_f16(v));
  if (t == DType::bf16) v = bf16_to_float(lathe::float_to_bf16(v));
  return llvm::ConstantFP::get(b_.getContext(), llvm::APFloat(v));
}

Value* ScalarOps::splat(Value* v, int lanes) {
  return lanes == 1 ? v : b_.CreateVectorSplat(static_cast<unsigned>(lanes), v);
}

Value* ScalarOps::apply(Scalar op, DType result, DType arg, Value* a, Value* b, Value* c) {
  switch (op) {
    case Scalar::Add:
    case Scalar::Sub:
    case Scalar::Mul:
    case Scalar::Div:
    case Scalar::Rem:
    case Scalar::Min:
    case Scalar::Max: return is_float(arg) ? float_binary(op, a, b) : integer_binary(op, arg, a, b);
    case Scalar::And: return b_.CreateAnd(a, b);
    case Scalar::Or: return b_.CreateOr(a, b);
    case Scalar::Xor: return b_.CreateXor(a, b);
    case Scalar::Shl:
    case Scalar::Shr: return shift(op, arg, a, b);
    case Scalar::Fma: return is_float(arg) ? fma(a, b, c) : b_.CreateAdd(b_.CreateMul(a, b), c);
    case Scalar::Scale2: return scale2(a, b);
    case Scalar::Eq:
    case Scalar::Ne:
    case Scalar::Lt:
    case Scalar::Le: return compare(op, arg, a, b);
    case Scalar::Select: return b_.CreateSelect(a, b, c);
    case Scalar::Cast: return cast(a, arg, result);
    case Scalar::Bitcast: return b_.CreateBitCast(a, shaped(a, type(result)));
    default: return unary(op, arg, a);
  }
}

Value* ScalarOps::float_binary(Scalar op, Value* a, Value* b) {
  switch (op) {
    case Scalar::Add: return b_.CreateFAdd(a, b);
    case Scalar::Sub: return b_.CreateFSub(a, b);
    case Scalar::Mul: return b_.CreateFMul(a, b);
    case Scalar::Div: return b_.CreateFDiv(a, b);
    case Scalar::Rem: return remainder(a, b);
    default: break;
  }
  // minps and maxps give the second operand if either is NaN; so only a NaN in `a` needs care.
  Value* first = op == Scalar::Min ? b_.CreateFCmpOLT(a, b) : b_.CreateFCmpOGT(a, b);
  return b_.CreateSelect(b_.CreateFCmpUNO(a, a), a, b_.CreateSelect(first, a, b));
}

Value* ScalarOps::integer_binary(Scalar op, DType t, Value* a, Value* b) {
  switch (op) {
    case Scalar::Add: return b_.CreateAdd(a, b);
    case Scalar::Sub: return b_.CreateSub(a, b);
    case Scalar::Mul: return b_.CreateMul(a, b);
    case Scalar::Div:
    case Scalar::Rem: return divide(op, t, a, b);
    case Scalar::Min: return b_.CreateSelect(compare(Scalar::Lt, t, a, b), a, b);
    default: return b_.CreateSelect(compare(Scalar::Lt, t, b, a), a, b);
  }
}

Value* ScalarOps::compare(Scalar op, DType t, Value* a, Value* b) {
  using P = llvm::CmpInst;
  if (is_float(t)) {
    switch (op) {
      case Scalar::Eq: return b_.CreateFCmpOEQ(a, b);
      case Scalar::Ne: return b_.CreateFCmpUNE(a, b);
      case Scalar::Lt: return b_.CreateFCmpOLT(a, b);
      default: return b_.CreateFCmpOLE(a, b);
    }
  }
  switch (op) {
    case Scalar::Eq: return b_.CreateICmpEQ(a, b);
    case Scalar::Ne: return b_.CreateICmpNE(a, b);
    case Scalar::Lt: return b_.CreateICmp(is_signed(t) ? P::ICMP_SLT : P::ICMP_ULT, a, b);
    default: return b_.CreateICmp(is_signed(t) ? P::ICMP_SLE : P::ICMP_ULE, a, b);
  }
}

// x/0 = -1, x%0 = x, MIN/-1 = MIN, MIN%-1 = 0; the divisor is replaced by 1 where it would trap.
Value* ScalarOps::divide(Scalar op, DType t, Value* a, Value* b) {
  Value* zero = b_.CreateICmpEQ(b, same(b, 0));
  Value* unsafe = zero;
  if (is_signed(t)) {
    const unsigned bits = 8u * info(t).bytes;
    Value* least = b_.CreateICmpEQ(
        a, llvm::ConstantInt::get(a->getType(), llvm::APInt::getSignedMinValue(bits)));
    Value* minus_one = b_.CreateICmpEQ(b, llvm::Constant::getAllOnesValue(b->getType()));
    unsafe = b_.CreateOr(zero, b_.CreateAnd(least, minus_one));
  }
  Value* divisor = b_.CreateSelect(unsafe, same(b, 1), b);
  if (op == Scalar::Div) {
    Value* q = is_signed(t) ? b_.CreateSDiv(a, divisor) : b_.CreateUDiv(a, divisor);
    return b_.CreateSelect(zero, llvm::Constant::getAllOnesValue(b->getType()), q);
  }
  Value* r = is_signed(t) ? b_.CreateSRem(a, divisor) : b_.CreateURem(a, divisor);
  return b_.CreateSelect(zero, a, r);
}

Value* ScalarOps::shift(Scalar op, DType t, Value* a, Value* count) {
  const unsigned bits = 8u * info(t).bytes;
  Value* inside = b_.CreateICmpULT(count, same(count, bits));
  if (op == Scalar::Shr && is_signed(t))
    return b_.CreateAShr(a, b_.CreateSelect(inside, count, same(count, bits - 1)));
  Value* safe = b_.CreateSelect(inside, count, same(count, 0));
  Value* shifted = op == Scalar::Shl ? b_.CreateShl(a, safe) : b_.CreateLShr(a, safe);
  return b_.CreateSelect(inside, shifted, same(a, 0));
}

Value* ScalarOps::unary(Scalar op, DType t, Value* a) {
  const auto call = [&](ID id) { return b_.CreateUnaryIntrinsic(id, a); };
  switch (op) {
    case Scalar::Neg: return is_float(t) ? b_.CreateFNeg(a) : b_.CreateNeg(a);
    case Scalar::Not: return b_.CreateNot(a);
    case Scalar::Sqrt: return call(llvm::Intrinsic::sqrt);
    case Scalar::Floor: return call(llvm::Intrinsic::floor);
    case Scalar::Ceil: return call(llvm::Intrinsic::ceil);
    case Scalar::Trunc: return call(llvm::Intrinsic::trunc);
    case Scalar::RoundEven: return call(llvm::Intrinsic::roundeven);
    case Scalar::Abs:
      if (is_float(t)) return call(llvm::Intrinsic::fabs);
      if (!is_signed(t)) return a;
      return b_.CreateSelect(b_.CreateICmpSLT(a, same(a, 0)), b_.CreateNeg(a), a);
    default: LATHE_ASSERT(false, "scalar {} reached the LLVM backend", name(op));
  }
  return nullptr;
}

Value* ScalarOps::fma(Value* a, Value* b, Value* c) {
  if (!target_.has_fma()) return b_.CreateFAdd(b_.CreateFMul(a, b), c);
  return b_.CreateIntrinsic(llvm::Intrinsic::fma, {a->getType()}, {a, b, c});
}

// x * 2^n by two factors of half the exponent each: for every n that does not simply underflow or
// overflow the first product is exact, so only the second rounds.
Value* ScalarOps::scale2(Value* x, Value* n) {
  if (target_.instructions == Isa::avx512 && lanes_of(x) > 1)
    if (Value* v = scalef(x, n)) return v;
  const bool wide = x->getType()->getScalarType()->isDoubleTy();
  const int limit = wide ? 2044 : 252, mantissa = wide ? 52 : 23, bias = wide ? 1023 : 127;
  const auto k = [&](int64_t v) {
    return llvm::ConstantInt::get(n->getType(), static_cast<uint64_t>(v), true);
  };
  n = b_.CreateSelect(b_.CreateICmpSLT(n, k(-limit)), k(-limit), n);
  n = b_.CreateSelect(b_.CreateICmpSGT(n, k(limit)), k(limit), n);
  Value* half = b_.CreateAShr(n, k(1));
  const auto power = [&](Value* e) {
    return b_.CreateBitCast(b_.CreateShl(b_.CreateAdd(e, k(bias)), k(mantissa)), x->getType());
  };
  return b_.CreateFMul(b_.CreateFMul(x, power(half)), power(b_.CreateSub(n, half)));
}

// vscalefps/pd where the vector is one register; null otherwise.
Value* ScalarOps::scalef(Value* x, Value* n) {
  const bool wide = x->getType()->getScalarType()->isDoubleTy();
  const int bits = lanes_of(x) * (wide ? 64 : 32);
  ID id;
  switch (bits) {
    case 512:
      id = wide ? llvm::Intrinsic::x86_avx512_mask_scalef_pd_512
                : llvm::Intrinsic::x86_avx512_mask_scalef_ps_512;
      break;
    case 256:
      id = wide ? llvm::Intrinsic::x86_avx512_mask_scalef_pd_256
                : llvm::Intrinsic::x86_avx512_mask_scalef_ps_256;
      break;
    case 128:
      id = wide ? llvm::Intrinsic::x86_avx512_mask_scalef_pd_128
                : llvm::Intrinsic::x86_avx512_mask_scalef_ps_128;
      break;
    default: return nullptr;
  }
  Value* power = b_.CreateSIToFP(n, x->getType());
  llvm::SmallVector<Value*, 5> args = {x, power, llvm::Constant::getNullValue(x->getType())};
  if (bits == 512 && !wide) args.push_back(b_.getInt16(0xffff));
  else args.push_back(b_.getInt8(0xff));
  if (bits == 512) args.push_back(b_.getInt32(4));  // the current rounding mode
  return b_.CreateIntrinsic(id, {}, args);
}

Value* ScalarOps::combine(Combine how, DType t, Value* acc, Value* a, Value* b) {
  switch (how) {
    case Combine::Add: return apply(Scalar::Add, t, t, acc, a, nullptr);
    case Combine::Max: return apply(Scalar::Max, t, t, acc, a, nullptr);
    case Combine::Min: return apply(Scalar::Min, t, t, acc, a, nullptr);
    case Combine::Mul: return apply(Scalar::Mul, t, t, acc, a, nullptr);
    case Combine::And: return b_.CreateAnd(acc, a);
    case Combine::Or: return b_.CreateOr(acc, a);
    case Combine::Fma: return apply(Scalar::Fma, t, t, a, b, acc);
    case Combine::FmaFlush: return fma_flush(a, b, acc);
    case Combine::Assign: return a;
  }
  __builtin_unreachable();
}

// As ir/scalar_eval.h has it.
Value* ScalarOps::fma_flush(Value* a, Value* b, Value* c) {
  const auto number = [&](double v) { return llvm::ConstantFP::get(a->getType(), v); };
  // `kept` where `like` is at least `least`, else a zero of the sign of `like`.
  const auto flush = [&](Value* kept, Value* like, double least) {
    Value* tiny =
        b_.CreateFCmpOLT(b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, like), number(least));
    return b_.CreateSelect(
        tiny, b_.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, number(0), like), kept);
  };
  a = flush(a, a, 0x1p-126), b = flush(b, b, 0x1p-126);
  Value* sum = fma(a, b, c);
  if (target_.is_x86() && !target_.has_fma()) return flush(sum, sum, 0x1p-126);
  Value* scaled = fma(b_.CreateFMul(a, number(0x1p64)), b, b_.CreateFMul(c, number(0x1p64)));
  return flush(sum, scaled, 0x1p-62);
}

Value* ScalarOps::identity(Combine how, DType t) const {
  llvm::Type* type_of = type(t);
  const unsigned bits = type_of->getScalarSizeInBits();
  switch (how) {
    case Combine::Mul:
      return is_float(t) ? llvm::ConstantFP::get(type_of, 1.0) : llvm::ConstantInt::get(type_of, 1);
    case Combine::Max:
      if (is_float(t)) return llvm::ConstantFP::getInfinity(type_of, true);
      return llvm::ConstantInt::get(type_of, is_signed(t) ? llvm::APInt::getSignedMinValue(bits)
                                                          : llvm::APInt::getMinValue(bits));
    case Combine::Min:
      if (is_float(t)) return llvm::ConstantFP::getInfinity(type_of, false);
      return llvm::ConstantInt::get(type_of, is_signed(t) ? llvm::APInt::getSignedMaxValue(bits)
                                                          : llvm::APInt::getMaxValue(bits));
    case Combine::And: return llvm::Constant::getAllOnesValue(type_of);
    default: return llvm::Constant::getNullValue(type_of);
  }
}

// Long division in binary: t doubles from |b| towards |a|, then comes back down; every subtraction
// is of t <= r < 2t, hence exact (Sterbenz), and halving undoes doubling exactly.
llvm::Function* ScalarOps::remainder_function(llvm::Type* t) {
  const std::string symbol = t->isDoubleTy() ? "lathe.fmod.f64" : "lathe.fmod.f32";
  if (llvm::Function* f = module_.getFunction(symbol)) return f;
  auto* f = llvm::Function::Create(llvm::FunctionType::get(t, {t, t}, false),
                                   llvm::Function::InternalLinkage, symbol, module_);
  llvm::LLVMContext& context = b_.getContext();
  const auto block = [&](const char* label) { return llvm::BasicBlock::Create(context, label, f); };
  auto *entry = block("entry"), *special = block("special"), *test = block("test"),
       *up = block("up"), *down = block("down"), *done = block("done"), *small = block("small");
  Value *x = f->getArg(0), *y = f->getArg(1);
  Value* half = llvm::ConstantFP::get(t, 0.5);
  Value* inf = llvm::ConstantFP::getInfinity(t);

  llvm::IRBuilder<> b(entry);
  Value* a = b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
  Value* d = b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, y);
  Value* bad =
      b.CreateOr(b.CreateFCmpUEQ(a, inf), b.CreateFCmpUEQ(d, llvm::ConstantFP::get(t, 0.0)));
  b.CreateCondBr(bad, special, test);
  b.SetInsertPoint(special);
  b.CreateRet(llvm::ConstantFP::getNaN(t));
  b.SetInsertPoint(test);
  Value* limit = b.CreateFMul(a, half);
  b.CreateCondBr(b.CreateFCmpOLT(a, d), small, up);
  b.SetInsertPoint(small);
  b.CreateRet(x);

  b.SetInsertPoint(up);
  llvm::PHINode* t_up = b.CreatePHI(t, 2);
  Value* doubled = b.CreateFAdd(t_up, t_up);
  t_up->addIncoming(d, test);
  t_up->addIncoming(doubled, up);
  b.CreateCondBr(b.CreateFCmpOLE(t_up, limit), up, down);

  b.SetInsertPoint(down);
  llvm::PHINode* t_down = b.CreatePHI(t, 2);
  llvm::PHINode* r = b.CreatePHI(t, 2);
  Value* next_r = b.CreateSelect(b.CreateFCmpOGE(r, t_down), b.CreateFSub(r, t_down), r);
  Value* halved = b.CreateFMul(t_down, half);
  t_down->addIncoming(t_up, up);
  t_down->addIncoming(halved, down);
  r->addIncoming(a, up);
  r->addIncoming(next_r, down);
  b.CreateCondBr(b.CreateFCmpOGT(t_down, d), down, done);

  b.SetInsertPoint(done);
  b.CreateRet(b.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, next_r, x));
  return f;
}

Value* ScalarOps::remainder(Value* a, Value* b) {
  llvm::Function* f = remainder_function(a->getType()->getScalarType());
  const int lanes = lanes_of(a);
  if (lanes == 1) return b_.CreateCall(f, {a, b});
  Value* out = llvm::PoisonValue::get(a->getType());
  for (int i = 0; i < lanes; ++i) {
    const auto lane = static_cast<uint64_t>(i);
    Value* v =
        b_.CreateCall(f, {b_.CreateExtractElement(a, lane), b_.CreateExtractElement(b, lane)});
    out = b_.CreateInsertElement(out, v, lane);
  }
  return out;
}

}  // namespace lathe::codegen
