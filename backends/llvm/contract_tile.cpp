#include "backends/llvm/contract_tile.h"

namespace lathe::codegen {
namespace {

using llvm::Value;

class TileFunction {
 public:
  TileFunction(llvm::Function* f, const Analysis& a, const ContractPlan& plan,
               const CodeTarget& target, const Tile& tile)
      : f_(f),
        k_(a.k),
        p_(plan),
        tile_(tile),
        b_(llvm::BasicBlock::Create(f->getContext(), "entry", f)),
        e_(b_, *f->getParent(), target, a, f->getArg(0)) {}

  void emit(Stage stage) {
    prepare_inner(e_, f_, k_, 0);
    e_.set_tile(tile_);
    if (stage == Stage::End && p_.m < 0) finish_row();
    else if (stage == Stage::End) finish_rows(f_->getArg(2));
    else sum(stage);
    b_.CreateRetVoid();
  }

 private:
  void sum(Stage stage) {
    const Reduction& r = k_.reductions[0];
    if (p_.pack && tile_.lanes > 1)
      e_.redirect(p_.b, f_->getArg(1), panel_offset(k_, tile_.parts * group_ * tile_.lanes), 0,
                  group_);
    if (p_.defer_a) e_.defer(p_.b == r.b ? r.a : r.b);
    if (r.padded && !p_.dot) e_.leave_out_padding();
    if (p_.dot) e_.set_dot(p_.dot, stage == Stage::Columns);
    e_.enter(0, Region::Pre);
    e_.start_accumulators();
    if (stage == Stage::Sum) continue_sums();
    if (stage == Stage::Whole && p_.dot && p_.dot->flips()) start_at_columns();
    int unroll = p_.unroll;
    if (tile_.inside)
      unroll = static_cast<int>(std::min<int64_t>(k_.red.back(), 8)), e_.separate_copies();
    e_.start_flushing();
    e_.reduction_loops(0, unroll, [&] { e_.fold(); });
    e_.stop_flushing();
    if (stage == Stage::Columns) negate_sums();
    if (stage != Stage::Whole) return e_.keep_sums(f_->getArg(2));
    if (p_.rows_in_memory && tile_.rows > 1) return finish_rows(e_.store_sums());
    finish();
  }

  // The sums that the block before left; the first starts at the identity.
  void continue_sums() {
    const auto block = static_cast<unsigned>(kFirstIv + k_.par.size() - 1);
    Value* first = b_.CreateICmpEQ(f_->getArg(block), e_.i64(0));
    for (int r = 0; r < tile_.rows; ++r)
      for (int p = 0; p < tile_.parts; ++p) {
        Value* before = e_.load_sum(f_->getArg(2), e_.i64(0), r, p);
        Value*& sum = e_.accumulator(0, r, p);
        sum = b_.CreateSelect(first, sum, before);
      }
  }

  void start_at_columns() {
    for (int r = 0; r < tile_.rows; ++r)
      for (int p = 0; p < tile_.parts; ++p)
        e_.accumulator(0, r, p) = e_.load_sum(f_->getArg(2), e_.i64(0), 0, p);
  }

  void negate_sums() {
    for (int p = 0; p < tile_.parts; ++p)
      e_.accumulator(0, 0, p) = b_.CreateNeg(e_.accumulator(0, 0, p));
  }

  void finish_row() {
    e_.start_accumulators();
    for (int p = 0; p < tile_.parts; ++p)
      e_.accumulator(0, 0, p) = e_.load_sum(f_->getArg(2), e_.i64(0), 0, p);
    finish();
  }

  void finish() {
    e_.enter(0, Region::Post);
    e_.stores();
  }

  void finish_rows(Value* sums) {
    e_.finish_rows(sums, f_->getArg(static_cast<unsigned>(kFirstIv) + static_cast<unsigned>(p_.m)),
                   0, 1);
  }

  llvm::Function* f_;
  const Kernel& k_;
  const ContractPlan& p_;
  const Tile tile_;
  const int group_ = p_.dot ? p_.dot->group : 1;  // elements of b in a lane
  llvm::IRBuilder<> b_;
  Emitter e_;
};

}  // namespace

void prepare_inner(Emitter& e, llvm::Function* f, const Kernel& k, int post_end) {
  for (size_t i = 0; i < k.par.size(); ++i)
    e.set_symbol(static_cast<SymbolId>(i), f->getArg(static_cast<unsigned>(kFirstIv + i)));
  const int reds = static_cast<int>(k.red.size());
  for (int i = 0; i < reds; ++i) e.set_level(k.red_symbol(i), i + 1);
  e.set_ends(reds, post_end);
}

void emit_contraction_tile(llvm::Function* f, const Analysis& a, const ContractPlan& plan,
                           const CodeTarget& target, Stage stage, const Tile& tile) {
  TileFunction(f, a, plan, target, tile).emit(stage);
}

}  // namespace lathe::codegen
