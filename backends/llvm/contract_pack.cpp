// The copy of a panel of b whose reduction runs along memory: squares of lanes x lanes elements are
// transposed in registers.
#include "backends/llvm/contract_plan.h"

namespace lathe::codegen {
namespace {

using llvm::Value;

// Rows become columns: with ever larger halves, what lies off the diagonal changes places.
void transpose(llvm::IRBuilder<>& b, std::vector<Value*>& rows) {
  const int n = static_cast<int>(rows.size());
  for (int half = n / 2; half > 0; half /= 2) {
    llvm::SmallVector<int, 16> low, high;
    for (int lane = 0; lane < n; ++lane) {
      const bool right = lane & half;
      low.push_back(right ? n + lane - half : lane);
      high.push_back(right ? n + lane : lane + half);
    }
    for (int i = 0; i < n; ++i) {
      if (i & half) continue;
      Value *&upper = rows[static_cast<size_t>(i)], *&lower = rows[static_cast<size_t>(i + half)];
      Value* left = b.CreateShuffleVector(upper, lower, low);
      lower = b.CreateShuffleVector(upper, lower, high);
      upper = left;
    }
  }
}

class TransposingPack {
 public:
  TransposingPack(Emitter& e, const Kernel& k, const Access& from, const Tile& tile, Value* args,
                  Value* panel)
      : e_(e), b_(e.builder()), k_(k), from_(from), tile_(tile), panel_(panel) {
    element_ = e.ops().memory_type(k.operands[static_cast<size_t>(from.operand)].dtype);
    align_ = llvm::Align(static_cast<uint64_t>(element_->getPrimitiveSizeInBits()) / 8);
    source_ = operand_at(e, args, from.operand);
  }

  void emit(const std::vector<Value*>& pars) {
    loops(0, offset_at(e_, from_.offset, pars), e_.i64(0));
  }

 private:
  void loops(size_t i, Value* from, Value* to) {
    if (i + 1 == k_.red.size()) return along(from, to);
    int64_t stride = tile_.width();
    for (size_t j = i + 1; j < k_.red.size(); ++j) stride *= k_.red[j];
    const int64_t step = from_.offset.coefficient(k_.red_symbol(static_cast<int>(i)));
    e_.loop(e_.i64(0), e_.i64(k_.red[i]), 1, true, [&](Value* iv) {
      loops(i + 1, b_.CreateAdd(from, b_.CreateMul(iv, e_.i64(step))),
            b_.CreateAdd(to, b_.CreateMul(iv, e_.i64(stride))));
    });
  }

  // The innermost reduction iv: squares, then what is left of it column by column.
  void along(Value* from, Value* to) {
    const int64_t extent = k_.red.back(), main = extent / tile_.lanes * tile_.lanes;
    const auto steps = [&](int64_t begin, int64_t end, int64_t step, bool squares) {
      if (begin == end) return;
      e_.loop(e_.i64(begin), e_.i64(end), step, true, [&](Value* k) {
        Value* source = at(source_, b_.CreateAdd(from, k));
        Value* target = at(panel_, b_.CreateAdd(to, b_.CreateMul(k, e_.i64(tile_.width()))));
        for (int part = 0; part < tile_.parts; ++part)
          squares ? square(source, target, part) : column(source, target, part);
      });
    };
    steps(0, main, tile_.lanes, true);
    steps(main, extent, 1, false);
  }

  Value* at(Value* base, Value* offset) { return b_.CreateGEP(element_, base, offset); }
  Value* row(Value* source, int part, int lane) {
    const int64_t stride = from_.offset.coefficient(tile_.vec);
    return at(source, e_.i64(stride * (part * tile_.lanes + lane)));
  }
  llvm::Type* vector() {
    return llvm::FixedVectorType::get(element_, static_cast<unsigned>(tile_.lanes));
  }

  void square(Value* source, Value* target, int part) {
    std::vector<Value*> rows;
    for (int lane = 0; lane < tile_.lanes; ++lane)
      rows.push_back(lane < tile_.active(part) ? static_cast<Value*>(b_.CreateAlignedLoad(
                                                     vector(), row(source, part, lane), align_))
                                               : llvm::Constant::getNullValue(vector()));
    transpose(b_, rows);
    for (int i = 0; i < tile_.lanes; ++i)
      b_.CreateAlignedStore(rows[static_cast<size_t>(i)],
                            at(target, e_.i64(i * tile_.width() + part * tile_.lanes)), align_);
  }

  void column(Value* source, Value* target, int part) {
    for (int lane = 0; lane < tile_.active(part); ++lane)
      b_.CreateAlignedStore(b_.CreateAlignedLoad(element_, row(source, part, lane), align_),
                            at(target, e_.i64(part * tile_.lanes + lane)), align_);
  }

  Emitter& e_;
  llvm::IRBuilder<>& b_;
  const Kernel& k_;
  const Access& from_;
  const Tile& tile_;
  Value *source_ = nullptr, *panel_;
  llvm::Type* element_ = nullptr;
  llvm::Align align_;
};

}  // namespace

Value* operand_at(Emitter& e, Value* args, int32_t operand) {
  llvm::IRBuilder<>& b = e.builder();
  Value* slot = b.CreateConstGEP1_64(b.getPtrTy(), args, static_cast<uint64_t>(operand));
  return b.CreateLoad(b.getPtrTy(), slot);
}

Value* offset_at(Emitter& e, const IndexExpr& offset, const std::vector<Value*>& pars) {
  llvm::IRBuilder<>& b = e.builder();
  Value* at = e.i64(offset.constant);
  for (size_t i = 0; i < pars.size(); ++i)
    if (const int64_t c = offset.coefficient(static_cast<SymbolId>(i)))
      at = b.CreateAdd(at, b.CreateMul(pars[i], e.i64(c)));
  return at;
}

bool packs_by_transposing(const Kernel& k, ScalarId b, SymbolId n) {
  const Access& from = k.body[static_cast<size_t>(b)].access;
  const SymbolId last = k.red_symbol(static_cast<int>(k.red.size()) - 1);
  const DType t = k.operands[static_cast<size_t>(from.operand)].dtype;
  return byte_size(t) >= 4 && from.offset.coefficient(last) == 1 && from.offset.coefficient(n) != 1;
}

void emit_transposing_pack(Emitter& e, const Kernel& k, ScalarId b, const Tile& tile, Value* args,
                           Value* panel, const std::vector<Value*>& pars) {
  TransposingPack(e, k, k.body[static_cast<size_t>(b)].access, tile, args, panel).emit(pars);
}

}  // namespace lathe::codegen
