// Products by padding, left out of sums that they do not change.
#include <algorithm>
#include <utility>

#include "backends/llvm/emitter.h"

namespace lathe::codegen {

using llvm::Value;

namespace {

// Each is one more copy of the loops inside.
constexpr int kMostMargins = 2;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

}  // namespace

void Emitter::leave_out_padding() {
  const Reduction& r = k_.reductions[0];
  padded_ = k_.body[static_cast<size_t>(r.a)].guards.empty() ? r.b : r.a;
}

// Either, at run time; the accumulators go on from where they are then.
void Emitter::choose(Value* condition, const std::function<void()>& then,
                     const std::function<void()>& otherwise) {
  llvm::LLVMContext& context = b_.getContext();
  llvm::Function* f = b_.GetInsertBlock()->getParent();
  auto* yes = llvm::BasicBlock::Create(context, "inside", f);
  auto* no = llvm::BasicBlock::Create(context, "padding", f);
  auto* next = llvm::BasicBlock::Create(context, "next", f);
  b_.CreateCondBr(condition, yes, no);
  const std::vector<std::vector<Value*>> before = acc_;
  const auto branch = [&](llvm::BasicBlock* block, const std::function<void()>& body) {
    b_.SetInsertPoint(block);
    body();
    b_.CreateBr(next);
    return b_.GetInsertBlock();
  };
  llvm::BasicBlock* yes_end = branch(yes, then);
  const std::vector<std::vector<Value*>> one = std::exchange(acc_, before);
  llvm::BasicBlock* no_end = branch(no, otherwise);
  b_.SetInsertPoint(next);
  for (size_t j = 0; j < acc_.size(); ++j)
    for (size_t i = 0; i < acc_[j].size(); ++i) {
      Value*& v = acc_[j][i];
      if (v == one[j][i]) continue;
      llvm::PHINode* phi = b_.CreatePHI(v->getType(), 2);
      phi->addIncoming(one[j][i], yes_end), phi->addIncoming(v, no_end);
      v = phi;
    }
}

// Whether a row is inside, as far as a guard that is known says.
Value* Emitter::inside(GuardId guard, int row) const {
  const Cells& c = guard_cells_[static_cast<size_t>(guard)];
  return c.values[static_cast<size_t>(c.by_row ? row : 0)];
}

// How many rows the guards that `level` makes known may cut off; no guard where it cannot be said,
// where rows are cut off on both sides at once, or where that would take too many copies.
Emitter::Margins Emitter::margins(const Instr& load, int level) const {
  Margins m;
  for (GuardId id : load.guards) {
    const IvSet set = a_.guards[static_cast<size_t>(id)];
    if (level_of(set, Region::Pre) != level || !by_row(set)) continue;
    const Guard& g = k_.guards[static_cast<size_t>(id)];
    const int64_t step = g.index.coefficient(tile_.row);
    const bool affine = std::ranges::all_of(
        g.index.terms, [&](const IndexTerm& t) { return t.symbol < k_.derived_symbol(0); });
    if (m.guard >= 0 || g.multiple_of != 1 || step <= 0 || !affine) return {};
    const Range range = a_.range(g.index);
    const int64_t before = ceil_div(std::max<int64_t>(-range.low, 0), step);
    const int64_t after = ceil_div(std::max<int64_t>(range.high - g.limit + 1, 0), step);
    if (before + after > kMostMargins || before >= tile_.rows || after >= tile_.rows ||
        step * (tile_.rows - 1) > g.limit)
      return {};
    m = {id, static_cast<int>(before), static_cast<int>(after)};
  }
  return m;
}

// `body` for the points where the guards that `level` makes known hold.
void Emitter::within_image(int level, const std::function<void()>& body) {
  if (padded_ < 0 || tile_.inside) return body();
  const Instr& load = k_.body[static_cast<size_t>(padded_)];
  Value* any = nullptr;
  for (GuardId g : load.guards) {
    const IvSet set = a_.guards[static_cast<size_t>(g)];
    if (level_of(set, Region::Pre) != level || by_row(set) || by_part(set)) continue;
    Value* here = inside(g, 0);
    if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(here); known && known->isOne())
      continue;
    any = any ? b_.CreateAnd(any, here) : here;
  }
  const Margins m = deferred_ == padded_ ? margins(load, level) : Margins{};
  const auto rows = [&](int first, int end) {
    const auto [first_before, end_before] = std::pair(first_row_, end_row_);
    first_row_ = first, end_row_ = end;
    body();
    first_row_ = first_before, end_row_ = end_before;
  };
  // The whole tile, then what lacks most rows; what is left lacks one.
  std::function<void(int, int)> cut = [&](int before, int after) {
    const int all = tile_.rows;
    if (before > 1 || (before == 1 && after > 0))
      return choose(
          b_.CreateNot(inside(m.guard, before - 1)), [&] { rows(before, all); },
          [&] { cut(before - 1, after); });
    if (after > 1)
      return choose(
          b_.CreateNot(inside(m.guard, all - after)), [&] { rows(0, all - after); },
          [&] { cut(before, after - 1); });
    rows(before, all - after);
  };
  const auto tile = [&] {
    if (m.before + m.after == 0) return body();
    Value* whole = b_.CreateAnd(inside(m.guard, 0), inside(m.guard, tile_.rows - 1));
    choose(whole, [&] { rows(0, tile_.rows); }, [&] { cut(m.before, m.after); });
  };
  if (!any) return tile();
  choose(any, tile, [] {});
}

}  // namespace lathe::codegen
