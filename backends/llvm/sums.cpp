// Sums of a tile that wait in memory, of the only reduction: a row of them is as wide as the tile.
#include "backends/llvm/emitter.h"

namespace lathe::codegen {

using llvm::Value;

llvm::Type* Emitter::sum_type() { return ops_.type(k_.reductions[0].type, tile_.lanes); }

Value* Emitter::sum_at(Value* sums, Value* row, int r, int part) {
  Value* i = b_.CreateAdd(b_.CreateMul(row, i64(tile_.parts)), i64(r * tile_.parts + part));
  return b_.CreateGEP(sum_type(), sums, i);
}

Value* Emitter::load_sum(Value* sums, Value* row, int r, int part) {
  const llvm::Align align(static_cast<uint64_t>(byte_size(k_.reductions[0].type)));
  return b_.CreateAlignedLoad(sum_type(), sum_at(sums, row, r, part), align);
}

void Emitter::keep_sums(Value* sums) {
  const llvm::Align align(static_cast<uint64_t>(byte_size(k_.reductions[0].type)));
  for (int r = 0; r < tile_.rows; ++r)
    for (int p = 0; p < tile_.parts; ++p)
      b_.CreateAlignedStore(accumulator(0, r, p), sum_at(sums, i64(0), r, p), align);
  end_accumulators();
}

Value* Emitter::store_sums() {
  llvm::BasicBlock& first = b_.GetInsertBlock()->getParent()->getEntryBlock();
  llvm::IRBuilder<> entry(&first, first.begin());
  auto* sums = entry.CreateAlloca(sum_type(),
                                  entry.getInt64(static_cast<uint64_t>(tile_.rows * tile_.parts)));
  sums->setAlignment(llvm::Align(64));
  keep_sums(sums);
  return sums;
}

void Emitter::finish_rows(Value* sums, Value* first, int from, int level) {
  const Tile whole = tile_;
  const int row_level = levels_[static_cast<size_t>(whole.row)], post_end = post_end_;
  Tile one = whole;
  one.rows = 1;
  set_tile(one);
  set_level(one.row, level);
  post_end_ = level;
  for (int l = from; l < level; ++l) enter(l, Region::Post);
  loop(i64(0), i64(whole.rows), 1, true, [&](Value* row) {
    set_symbol(one.row, b_.CreateAdd(first, row));
    start_accumulators();
    for (int p = 0; p < one.parts; ++p) accumulator(0, 0, p) = load_sum(sums, row, 0, p);
    enter(level, Region::Post);
    stores();
    end_accumulators();
  });
  set_symbol(one.row, first);
  set_level(one.row, row_level);
  post_end_ = post_end;
  set_tile(whole);
}

}  // namespace lathe::codegen
