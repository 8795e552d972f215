// The copy of a panel of b in groups of steps: [.., k / group][columns][group], and zeros where the
// last group has fewer.
#include "backends/llvm/contract_plan.h"

namespace lathe::codegen {
namespace {

using llvm::Value;

class GroupPack {
 public:
  GroupPack(Emitter& e, const Kernel& k, const DotForm& form, const Tile& tile, Value* args,
            Value* panel)
      : e_(e),
        b_(e.builder()),
        k_(k),
        form_(form),
        from_(k.body[static_cast<size_t>(form.b)].access),
        tile_(tile),
        panel_(panel),
        column_(from_.offset.coefficient(tile.vec)) {
    element_ = element(1);
    source_ = operand_at(e, args, from_.operand);
  }

  void emit(const std::vector<Value*>& pars) {
    loops(0, at(source_, offset_at(e_, from_.offset, pars)), panel_);
  }

 private:
  llvm::Type* element(int count) {
    return b_.getIntNTy(static_cast<unsigned>(8 * form_.bytes * count));
  }
  Value* at(Value* base, Value* offset) { return b_.CreateGEP(element_, base, offset); }
  Value* at(Value* base, int64_t offset) { return at(base, e_.i64(offset)); }
  Value* step(Value* base, Value* iv, int64_t by) { return at(base, b_.CreateMul(iv, e_.i64(by))); }

  void loops(size_t i, Value* from, Value* to) {
    int64_t stride = tile_.width() * form_.group;
    for (size_t j = i + 1; j < k_.red.size(); ++j) stride *= k_.red[j];
    const int64_t along = from_.offset.coefficient(k_.red_symbol(static_cast<int>(i)));
    const bool last = i + 1 == k_.red.size();
    const int64_t whole = k_.red[i] - (last && form_.rest > 0);
    const auto inside = [&](Value* iv, int steps) {
      if (last) group(step(from, iv, along), step(to, iv, stride), steps);
      else loops(i + 1, step(from, iv, along), step(to, iv, stride));
    };
    if (whole > 0)
      e_.loop(e_.i64(0), e_.i64(whole), 1, true, [&](Value* iv) { inside(iv, form_.group); });
    if (whole < k_.red[i]) inside(e_.i64(whole), form_.rest);
  }

  void group(Value* from, Value* to, int steps) {
    if (column_ == 1 && tile_.tail == 0) return rows(from, to, steps);
    const int count = tile_.tail == 0 ? tile_.width() : tile_.width() - tile_.lanes + tile_.tail;
    e_.loop(e_.i64(0), e_.i64(count), 1, true, [&](Value* column) {
      this->column(step(from, column, column_), step(to, column, form_.group), steps);
    });
  }

  // One row of b for each step, interleaved.
  void rows(Value* from, Value* to, int steps) {
    auto* type = llvm::FixedVectorType::get(element_, static_cast<unsigned>(tile_.width()));
    std::vector<Value*> rows;
    for (int i = 0; i < form_.group; ++i)
      rows.push_back(i < steps ? static_cast<Value*>(b_.CreateAlignedLoad(
                                     type, at(from, form_.step * i), llvm::Align(1)))
                               : llvm::Constant::getNullValue(type));
    Value* all = rows.size() == 2 ? interleave(rows[0], rows[1], 1)
                                  : interleave(interleave(rows[0], rows[1], 1),
                                               interleave(rows[2], rows[3], 1), 2);
    b_.CreateAlignedStore(all, to, llvm::Align(1));
  }

  // Runs of `run` elements in turn.
  Value* interleave(Value* x, Value* y, int run) {
    const auto n =
        static_cast<int>(llvm::cast<llvm::FixedVectorType>(x->getType())->getNumElements());
    llvm::SmallVector<int, 256> order;
    for (int i = 0; i < n; i += run)
      for (const int base : {i, n + i})
        for (int j = 0; j < run; ++j) order.push_back(base + j);
    return b_.CreateShuffleVector(x, y, order);
  }

  void column(Value* from, Value* to, int steps) {
    const auto copy = [&](int count, Value* source, Value* target) {
      llvm::Type* type = element(count);
      Value* v = source ? static_cast<Value*>(b_.CreateAlignedLoad(type, source, llvm::Align(1)))
                        : llvm::Constant::getNullValue(type);
      b_.CreateAlignedStore(v, target, llvm::Align(1));
    };
    if (form_.step == 1 && steps == form_.group) return copy(steps, from, to);
    for (int i = 0; i < form_.group; ++i)
      copy(1, i < steps ? at(from, form_.step * i) : nullptr, at(to, i));
  }

  Emitter& e_;
  llvm::IRBuilder<>& b_;
  const Kernel& k_;
  const DotForm& form_;
  const Access& from_;
  const Tile& tile_;
  Value *source_ = nullptr, *panel_;
  llvm::Type* element_ = nullptr;
  const int64_t column_;  // elements from one to the next
};

}  // namespace

void emit_group_pack(Emitter& e, const Kernel& k, const DotForm& form, const Tile& tile,
                     Value* args, Value* panel, const std::vector<Value*>& pars) {
  GroupPack(e, k, form, tile, args, panel).emit(pars);
}

}  // namespace lathe::codegen
