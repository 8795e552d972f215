// Sums by Combine::FmaFlush on x86 without an instruction for them: the CPU takes subnormals as
// zeros and gives none while they run, so that a plain fma does.
#include <algorithm>

#include "backends/llvm/emitter.h"

namespace lathe::codegen {

using llvm::Value;

namespace {

constexpr uint32_t kDenormalsAreZero = 0x40, kFlushToZero = 0x8000;

}  // namespace

// Nothing else that the reduction computes may notice.
bool Emitter::can_flush() const {
  const bool sums = std::ranges::all_of(
      k_.reductions, [](const Reduction& r) { return r.combine == Combine::FmaFlush; });
  const bool quiet = std::all_of(k_.body.begin(), k_.body.begin() + k_.pre, [](const Instr& in) {
    return in.op == Scalar::Load || in.op == Scalar::Const || in.op == Scalar::GuardTest ||
           in.op == Scalar::Select;
  });
  return sums && quiet && !k_.reductions.empty() && !dot_ && target_.is_x86() &&
         target_.instructions == target_.isa;
}

void Emitter::start_flushing() {
  if (!can_flush()) return;
  llvm::BasicBlock& entry = b_.GetInsertBlock()->getParent()->getEntryBlock();
  llvm::IRBuilder<> slots(&entry, entry.begin());
  if (!control_) control_ = slots.CreateAlloca(b_.getInt32Ty());
  Value* flush = slots.CreateAlloca(b_.getInt32Ty());
  b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_stmxcsr, {}, {control_});
  Value* before = b_.CreateLoad(b_.getInt32Ty(), control_);
  b_.CreateStore(b_.CreateOr(before, kDenormalsAreZero | kFlushToZero), flush);
  b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_ldmxcsr, {}, {flush});
  pin_accumulators();
  flushing_ = true;
}

void Emitter::stop_flushing() {
  if (!flushing_) return;
  pin_accumulators();
  b_.CreateIntrinsic(llvm::Intrinsic::x86_sse_ldmxcsr, {}, {control_});
  pin_accumulators();
  flushing_ = false;
}

// LLVM does not know that arithmetic reads the control register; that it stays on its side follows
// from assembly, of no instructions, that the sums go through.
void Emitter::pin_accumulators() {
  const char* constraints = target_.isa == Isa::avx512 ? "=v,0" : "=x,0";
  for (auto& values : acc_)
    for (Value*& v : values) {
      auto* type = llvm::FunctionType::get(v->getType(), {v->getType()}, false);
      v = b_.CreateCall(llvm::InlineAsm::get(type, "", constraints, true), {v});
    }
}

}  // namespace lathe::codegen
