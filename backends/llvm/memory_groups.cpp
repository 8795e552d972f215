// Loads of groups of bytes or bf16 (backends/llvm/dot.h).
#include "backends/llvm/emitter.h"

namespace lathe::codegen {

using llvm::Value;

Value* Emitter::load_group(ScalarId id, int row, int part) {
  const Slot& slot = slots_[static_cast<size_t>(id)];
  const int level = level_of(a_.instrs[static_cast<size_t>(id)], Region::Pre);
  if (id == dot_->b) return groups_of_b(slot, level, part);
  Condition c;
  if (slot.guarded_from < 0) c = condition(k_.body[static_cast<size_t>(id)].guards, row, part);
  return group_of_a(guarded(address(slot, level, row, 0), c.scalar, 8 * kLanes, dot_->fill));
}

// The steps that there are: what follows them in memory may not be ours.
Value* Emitter::group_of_a(Value* pointer) {
  llvm::Type* group = b_.getIntNTy(static_cast<unsigned>(8 * dot_->group_bytes()));
  const int all = dot_->bytes * (last_group_ ? dot_->rest : dot_->group);
  Value* out = nullptr;
  for (int done = 0; done < all;) {
    const int bytes = all - done >= 4 ? 4 : all - done >= 2 ? 2 : 1;
    Value* piece = b_.CreateAlignedLoad(
        b_.getIntNTy(static_cast<unsigned>(8 * bytes)),
        b_.CreateConstGEP1_64(b_.getInt8Ty(), pointer, static_cast<uint64_t>(done)),
        llvm::Align(1));
    piece = b_.CreateShl(b_.CreateZExt(piece, group), static_cast<uint64_t>(8 * done));
    out = out ? b_.CreateOr(out, piece) : piece;
    done += bytes;
  }
  return out;
}

// A group for each lane. Bytes of steps that there are not are zero, whatever memory holds.
Value* Emitter::groups_of_b(const Slot& slot, int level, int part) {
  const int group = dot_->group, active = tile_.active(part);
  llvm::Type* element = b_.getIntNTy(static_cast<unsigned>(8 * dot_->group_bytes()));
  auto* type = llvm::FixedVectorType::get(element, static_cast<unsigned>(tile_.lanes));
  Value* pointer = address(slot, level, 0, part * tile_.lanes);
  // The lanes beyond the tile's end are read too where the operand goes on.
  const int64_t beyond = a_.range(slot.offset).high + group * (tile_.lanes - active + 1);
  const bool all = slot.redirected || beyond <= k_.operands[static_cast<size_t>(slot.operand)].size;
  Value* out = llvm::Constant::getNullValue(type);
  if (all) {
    out = b_.CreateAlignedLoad(type, pointer, llvm::Align(1));
  } else if (target_.isa == Isa::avx512) {
    out = b_.CreateMaskedLoad(type, pointer, llvm::Align(1), tile_mask(part), out);
  } else {
    for (int lane = 0; lane < active; ++lane) {
      Value* from = address(slot, level, 0, part * tile_.lanes + lane);
      out = b_.CreateInsertElement(out, b_.CreateAlignedLoad(element, from, llvm::Align(1)),
                                   static_cast<uint64_t>(lane));
    }
  }
  // Of bf16 a panel, or the kernel's own operand, has something there.
  if (last_group_ && dot_->bytes == 1) {
    const uint64_t mask = (uint64_t{1} << (8 * dot_->rest)) - 1;
    out = b_.CreateAnd(out, llvm::ConstantInt::get(type, mask));
  }
  return prepare_groups(b_, *dot_, out, dot_->b_signed);
}

}  // namespace lathe::codegen
