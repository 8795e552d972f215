// Loops, and the loops over the reduction space.
#include "backends/llvm/emitter.h"
#include "ir/base/error.h"

namespace lathe::codegen {

using llvm::Value;

void Emitter::carry(std::vector<llvm::PHINode*>& phis, llvm::BasicBlock* from) {
  if (phis.empty()) {
    for (auto& values : acc_)
      for (Value*& v : values) {
        llvm::PHINode* phi = b_.CreatePHI(v->getType(), 2);
        phi->addIncoming(v, from);
        v = phi;
        phis.push_back(phi);
      }
    return;
  }
  size_t i = 0;
  for (auto& values : acc_)
    for (Value* v : values) phis[i++]->addIncoming(v, from);
}

// The same value, as a new one to the optimiser.
Value* Emitter::opaque(Value* v) {
  auto* type = llvm::FunctionType::get(v->getType(), {v->getType()}, false);
  return b_.CreateCall(llvm::InlineAsm::get(type, "", "=r,0", false), {v});
}

void Emitter::loop(Value* begin, Value* end, int64_t step, bool nonempty, const Body& body) {
  llvm::LLVMContext& context = b_.getContext();
  llvm::BasicBlock* before = b_.GetInsertBlock();
  llvm::Function* f = before->getParent();
  auto* inside = llvm::BasicBlock::Create(context, "loop", f);
  auto* after = llvm::BasicBlock::Create(context, "next", f);
  if (nonempty) b_.CreateBr(inside);
  else b_.CreateCondBr(b_.CreateICmpSLT(begin, end), inside, after);

  b_.SetInsertPoint(inside);
  llvm::PHINode* iv = b_.CreatePHI(b_.getInt64Ty(), 2);
  iv->addIncoming(begin, before);
  std::vector<llvm::PHINode*> phis;
  if (nonempty) carry(phis, before);
  body(iv);
  Value* next = b_.CreateAdd(iv, i64(step), "", true, true);
  iv->addIncoming(next, b_.GetInsertBlock());
  if (!phis.empty()) carry(phis, b_.GetInsertBlock());
  b_.CreateCondBr(b_.CreateICmpSLT(next, end), inside, after);
  b_.SetInsertPoint(after);
}

void Emitter::reduction_loops(int level, int unroll, const std::function<void()>& inner) {
  if (k_.steps() == 0) return;
  const int opened = level - (pre_end_ - static_cast<int>(k_.red.size()));
  if (opened == static_cast<int>(k_.red.size())) return inner();
  within_image(level, [&] { reduction_loop(level, unroll, inner); });
}

// Over the reduction iv that `level` opens.
void Emitter::reduction_loop(int level, int unroll, const std::function<void()>& inner) {
  const int opened = level - (pre_end_ - static_cast<int>(k_.red.size()));
  const SymbolId s = k_.red_symbol(opened);
  const bool last = opened + 1 == static_cast<int>(k_.red.size());
  if (last && tile_.vec == s) return lanes_loop(level, inner);
  if (last) return innermost_loop(level, unroll, inner);
  const int64_t extent = k_.red[static_cast<size_t>(opened)];
  const auto body = [&](Value* iv) {
    set_symbol(s, iv);
    enter(level + 1, Region::Pre);
    if (post_end_ > level + 1) enter(level + 1, Region::Post);
    reduction_loops(level + 1, unroll, inner);
  };
  if (extent == 1) return body(i64(0));
  loop(i64(0), i64(extent), 1, true, body);
}

void Emitter::innermost_loop(int level, int unroll, const std::function<void()>& inner) {
  const auto s = static_cast<size_t>(k_.red_symbol(static_cast<int>(k_.red.size()) - 1));
  // A group of fewer steps comes after the others.
  const bool partial = dot_ && dot_->rest > 0;
  const int64_t extent = k_.red.back() - partial, main = extent / unroll * unroll;
  const auto body = [&](Value* iv, int copies) {
    for (int u = 0; u < copies; ++u) {
      symbols_[s] = separate_copies_ ? opaque(iv) : iv;
      shifts_[s] = u;
      enter(level + 1, Region::Pre);
      inner();
    }
    shifts_[s] = 0;
  };
  if (main == unroll) body(i64(0), unroll);
  else if (main > 0) loop(i64(0), i64(main), unroll, true, [&](Value* iv) { body(iv, unroll); });
  if (extent - main == 1) body(i64(main), 1);
  else if (extent > main) loop(i64(main), i64(extent), 1, true, [&](Value* iv) { body(iv, 1); });
  if (!partial) return;
  last_group_ = true;
  body(i64(extent), 1);
  last_group_ = false;
}

// Order::Lanes: 32 elements of the last reduction iv a step, as parts of lanes.
void Emitter::lanes_loop(int level, const std::function<void()>& inner) {
  const Tile whole = tile_;
  const auto s = static_cast<size_t>(whole.vec);
  const int64_t extent = k_.red.back(), main = extent / kLanes * kLanes;
  const auto body = [&](Value* iv) {
    symbols_[s] = iv;
    enter(level + 1, Region::Pre);
    inner();
  };
  if (main == kLanes) body(i64(0));
  else if (main > 0) loop(i64(0), i64(main), kLanes, true, body);
  const int rest = static_cast<int>(extent - main);
  if (rest == 0) return;
  tile_.parts = (rest + whole.lanes - 1) / whole.lanes;
  tile_.tail = rest % whole.lanes;
  body(i64(main));
  tile_ = whole;
}

}  // namespace lathe::codegen
