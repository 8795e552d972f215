// Contractions by register tiles: accumulators stay in registers over the whole reduction, panels
// of b are packed where their rows are far apart, and each tile shape is one internal function.
//
//   for outer ivs                    both factors vary in them
//     for blocks of m                as much of a as stays in L2
//       for walks, panels of n       pack b[.., k, n0 .. n0 + width)
//         for inner ivs
//           for tiles of m           tile(args, panel, sums, ivs..)
//
// Long reductions run block by block (plan.steps), those of one row and a large b by blocks of so
// few steps that b is read in as many long streams: the sums of a block of rows and columns wait in
// memory, each goes on where the block before left it, and the epilogue follows the last. The order
// of the additions is the same.
//
//   for outer ivs, blocks of m, blocks of n
//     for blocks of k
//       for panels of n              pack b[.., k0 .. k0 + steps, n0 .. n0 + width)
//         for tiles of m             tile: sums += ..
//     for panels of n, tiles of m    tile.end: epilogue of the sums
#include <algorithm>
#include <map>
#include <utility>

#include "backends/llvm/contract_plan.h"
#include "backends/llvm/contract_tile.h"
#include "backends/llvm/kernel.h"

namespace lathe::codegen {
namespace {

using llvm::Value;

class Contraction {
 public:
  Contraction(llvm::Function* f, const Analysis& a, const ContractPlan& plan,
              const KernelSchedule& s, const CodeTarget& target)
      : f_(f),
        a_(a),
        k_(a.k),
        p_(plan),
        s_(s),
        target_(target),
        b_(llvm::BasicBlock::Create(f->getContext(), "entry", f)),
        // Only for its loops: the tiles have emitters of their own.
        loops_(b_, *f->getParent(), target, a, f->getArg(0)),
        ivs_(k_.par.size(), nullptr),
        guards_each_step_(p_.m >= 0 && guards_last_step(a)) {}

  std::string emit() {
    panel_ = llvm::ConstantPointerNull::get(b_.getPtrTy());
    if (p_.pack) {
      const int32_t operand = k_.body[static_cast<size_t>(p_.b)].access.operand;
      llvm::Type* element = memory_type(k_.operands[static_cast<size_t>(operand)].dtype);
      auto* scratch = b_.CreateAlloca(
          element, b_.getInt64(static_cast<uint64_t>(k_.steps() * p_.row_elements())));
      scratch->setAlignment(llvm::Align(64));
      panel_ = scratch;
    }
    sums_ = llvm::ConstantPointerNull::get(b_.getPtrTy());
    const int64_t sums_kept = p_.steps > 0 ? p_.block * p_.columns : flips() ? p_.width() : 0;
    if (sums_kept > 0) {
      llvm::Type* element = loops_.ops().type(k_.reductions[0].type, 1);
      auto* sums = b_.CreateAlloca(element, b_.getInt64(static_cast<uint64_t>(sums_kept)));
      sums->setAlignment(llvm::Align(64));
      sums_ = sums;
    }
    over(p_.outer, 0, [&] { blocks(); });
    b_.CreateRetVoid();
    return fmt::format("contract {}x{}{}{}{}", p_.rows, p_.width(), p_.pack ? " packed" : "",
                       p_.steps > 0 ? fmt::format(" k{}", k_.steps()) : "",
                       p_.dot ? fmt::format(" dot{}", p_.dot->group) : "");
  }

 private:
  // A tile's extent along n: a whole panel, the last one, or one column.
  struct Columns {
    int parts, lanes, tail;
    bool operator<(const Columns& o) const {
      return std::tie(parts, lanes, tail) < std::tie(o.parts, o.lanes, o.tail);
    }
    int width() const { return parts * lanes; }
    int columns() const { return tail > 0 ? width() - lanes + tail : width(); }
  };

  bool flips() const { return p_.dot && p_.dot->flips(); }
  llvm::Type* memory_type(DType t) { return loops_.ops().memory_type(t); }
  int64_t extent(SymbolId par) const { return k_.par[static_cast<size_t>(par)]; }
  Value* begin_of(SymbolId par) { return par == s_.parallel ? f_->getArg(1) : loops_.i64(0); }
  Value* end_of(SymbolId par) {
    return par == s_.parallel ? f_->getArg(2) : loops_.i64(extent(par));
  }
  // A loop over a parallel iv; not emitted as one where there is a single step.
  void step_through(SymbolId iv, Value* begin, Value* end, int64_t step,
                    const std::function<void()>& body) {
    const auto* first = llvm::dyn_cast<llvm::ConstantInt>(begin);
    const auto* last = llvm::dyn_cast<llvm::ConstantInt>(end);
    const int64_t count = first && last ? last->getSExtValue() - first->getSExtValue() : -1;
    const auto at = [&](Value* v) {
      Value*& known = ivs_[static_cast<size_t>(iv)];
      Value* before = std::exchange(known, v);
      body();
      known = before;  // v does not dominate what follows the loop
    };
    if (count == 0) return;
    if (count == step) at(begin);
    else loops_.loop(begin, end, step, count > 0, at);
  }

  void over(const std::vector<SymbolId>& ivs, size_t i, const std::function<void()>& body) {
    if (i == ivs.size()) return body();
    step_through(ivs[i], begin_of(ivs[i]), end_of(ivs[i]), 1, [&] { over(ivs, i + 1, body); });
  }

  using Rows = std::function<void(const Columns&)>;

  // A range of columns; count -1: known at run time only.
  struct Span {
    Value *begin, *end;
    int64_t count;
  };

  Span all_columns() {
    return {begin_of(p_.n), end_of(p_.n), p_.n == s_.parallel ? -1 : extent(p_.n)};
  }

  // Every panel for the rows from `first` on: the whole reduction, or its blocks one by one.
  void through(Value* first, const Rows& rows) {
    if (p_.steps == 0) return all_panels(rows);
    first_row_ = first;
    const auto block = [&](const Span& span) {
      first_column_ = span.begin;
      const auto k = static_cast<SymbolId>(k_.par.size() - 1);
      stage_ = Stage::Sum;
      step_through(k, loops_.i64(0), loops_.i64(extent(k)), 1, [&] { panels(span, rows); });
      stage_ = Stage::End;
      panels(span, rows);
      stage_ = Stage::Whole;
    };
    const Span all = all_columns();
    if (all.count < 0) {
      loops_.loop(all.begin, all.end, p_.columns, false, [&](Value* begin) {
        Value* end = b_.CreateAdd(begin, loops_.i64(p_.columns));
        Value* over = b_.CreateICmpSGT(end, all.end);
        block({begin, b_.CreateSelect(over, all.end, end), -1});
      });
      return;
    }
    const int64_t rest = all.count % p_.columns;
    Value* main = loops_.i64(all.count - rest);
    if (all.count > rest)
      loops_.loop(all.begin, main, p_.columns, true, [&](Value* begin) {
        block({begin, b_.CreateAdd(begin, loops_.i64(p_.columns)), p_.columns});
      });
    if (rest > 0) block({main, all.end, rest});
  }

  // Blocks of rows that stay in L2 while all panels pass.
  void blocks() {
    if (p_.m < 0) return through(loops_.i64(0), [&](const Columns& c) { call_tile(1, c); });
    const int64_t block = p_.block;
    const auto whole = [&](int64_t count) {
      Value* first = ivs_[static_cast<size_t>(p_.m)];
      through(first, [this, first, count](const Columns& c) { split(first, count, c); });
    };
    Value *begin = begin_of(p_.m), *end = end_of(p_.m);
    if (p_.m != s_.parallel) {
      const int64_t m = extent(p_.m), rest = m % block;
      step_through(p_.m, begin, loops_.i64(m - rest), block, [&] { whole(block); });
      if (rest > 0) step_through(p_.m, loops_.i64(m - rest), end, rest, [&] { whole(rest); });
      return;
    }
    Value* over_end = b_.CreateSRem(b_.CreateSub(end, begin), loops_.i64(block));
    Value* main = b_.CreateSub(end, over_end);
    step_through(p_.m, begin, main, block, [&] { whole(block); });
    // The rows at the end of m; once, if at all.
    const int64_t usual = extent(p_.m) % block;
    Value* left = main;
    if (usual > 0) {
      left = b_.CreateSelect(b_.CreateICmpEQ(over_end, loops_.i64(usual)), end, main);
      step_through(p_.m, main, left, block, [&] { whole(usual); });
    }
    // Whatever else a caller leaves of a block: tiles of one height, then single rows.
    const int64_t base = block / ((block + p_.rows - 1) / p_.rows);
    step_through(p_.m, left, end, block, [&] {
      Value* first = ivs_[static_cast<size_t>(p_.m)];
      Value* tiles = b_.CreateSub(end, b_.CreateSRem(b_.CreateSub(end, first), loops_.i64(base)));
      through(first, [&](const Columns& c) {
        step_through(p_.m, first, tiles, base, [&] { call_tile(static_cast<int>(base), c); });
        if (base > 1) step_through(p_.m, tiles, end, 1, [&] { call_tile(1, c); });
      });
    });
  }

  void all_panels(const Rows& rows) {
    over(p_.walks, 0, [&] { panels(all_columns(), rows); });
  }

  // What is left beside whole panels: vectors, and half a vector where that is enough. Rows that
  // are few hide no latency by themselves: they take all vectors in one tile.
  std::vector<Columns> last_columns(int64_t rest) const {
    const int64_t half = p_.lanes / 2, over = rest % p_.lanes;
    const auto part = [](int64_t columns, int64_t lanes) {
      return Columns{static_cast<int>((columns + lanes - 1) / lanes), static_cast<int>(lanes),
                     static_cast<int>(columns % lanes)};
    };
    const bool few = rest > p_.lanes && p_.tall < 8;
    if (!p_.halves || few || over == 0 || over > half) return {part(rest, p_.lanes)};
    std::vector<Columns> out;
    if (rest > over) out.push_back(part(rest - over, p_.lanes));
    out.push_back(part(over, half));
    return out;
  }

  void panels(const Span& span, const Rows& rows) {
    const Columns whole{p_.parts, p_.lanes, 0};
    const int64_t width = p_.width(), n = span.count < 0 ? extent(p_.n) : span.count;
    const int64_t rest = n % width;
    Value *begin = span.begin, *end = span.end;
    Value* over_end = span.count >= 0 ? loops_.i64(rest)
                                      : b_.CreateSRem(b_.CreateSub(end, begin), loops_.i64(width));
    Value* main = b_.CreateSub(end, over_end);
    if (n > rest || span.count < 0)
      step_through(p_.n, begin, main, width, [&] { panel(whole, rows); });
    Value* left = main;
    if (rest > 0) {
      // The usual remainder at the end of n; whatever else a caller leaves goes column by column.
      Value* usual = b_.CreateICmpEQ(over_end, loops_.i64(rest));
      for (const Columns& c : last_columns(rest)) {
        Value* next = b_.CreateSelect(usual, b_.CreateAdd(left, loops_.i64(c.columns())), left);
        step_through(p_.n, left, next, c.columns(), [&] { panel(c, rows); });
        left = next;
      }
    }
    if (span.count >= 0) return;
    const Columns one = p_.dot ? Columns{1, p_.lanes, 1} : Columns{1, 1, 0};
    step_through(p_.n, left, end, 1, [&] { panel(one, rows); });
  }

  void panel(const Columns& c, const Rows& rows) {
    if (p_.pack && c.lanes > 1 && stage_ != Stage::End) call(pack_function(c));
    if (flips()) {
      stage_ = Stage::Columns;
      call(tile_function(1, c));
      stage_ = Stage::Whole;
    }
    over(p_.inner, 0, [&] { rows(c); });
  }

  // `count` rows from `begin` in tiles of two neighbouring heights.
  void split(Value* begin, int64_t count, const Columns& c) {
    const int64_t rows = c.parts == 1 && !guards_each_step_ ? p_.tall : p_.rows;
    const int64_t tiles = (count + rows - 1) / rows;
    const int64_t base = count / tiles, taller = count % tiles;
    Value* middle = b_.CreateAdd(begin, loops_.i64(taller * (base + 1)));
    Value* end = b_.CreateAdd(begin, loops_.i64(count));
    if (taller > 0)
      step_through(p_.m, begin, middle, base + 1,
                   [&] { call_tile(static_cast<int>(base) + 1, c); });
    step_through(p_.m, middle, end, base, [&] { call_tile(static_cast<int>(base), c); });
  }

  void call_tile(int rows, const Columns& c) {
    Value* sums = sums_;
    if (p_.steps > 0) {  // panels one after the other, of rows as wide as the panel
      const auto from = [&](SymbolId iv, Value* first, int64_t step) {
        Value* at = b_.CreateSub(ivs_[static_cast<size_t>(iv)], first);
        return b_.CreateMul(at, loops_.i64(step));
      };
      Value* at = from(p_.n, first_column_, p_.block);
      if (p_.m >= 0) at = b_.CreateAdd(at, from(p_.m, first_row_, c.width()));
      sums = b_.CreateGEP(loops_.ops().type(k_.reductions[0].type, 1), sums_, at);
    }
    Value* inside = guards_each_step_ && c.lanes > 1 ? all_inside(rows) : nullptr;
    if (!inside) return call(tile_function(rows, c), sums);
    // Within an image nothing is asked of a step.
    llvm::LLVMContext& context = f_->getContext();
    const auto block = [&](const char* name) {
      return llvm::BasicBlock::Create(context, name, f_);
    };
    llvm::BasicBlock *plain = block("inside"), *edge = block("edge"), *next = block("next");
    b_.CreateCondBr(inside, plain, edge);
    b_.SetInsertPoint(plain);
    call(tile_function(rows, c, true), sums);
    b_.CreateBr(next);
    b_.SetInsertPoint(edge);
    call(tile_function(rows, c), sums);
    b_.CreateBr(next);
    b_.SetInsertPoint(next);
  }

  Value* all_inside(int rows) {
    for (size_t i = 0; i < ivs_.size(); ++i) loops_.set_symbol(static_cast<SymbolId>(i), ivs_[i]);
    return loops_.all_inside(p_.m, rows);
  }

  void call(llvm::Function* f) { call(f, sums_); }

  void call(llvm::Function* f, Value* sums) {
    std::vector<Value*> args = {f_->getArg(0), panel_, sums};
    for (Value* iv : ivs_) args.push_back(iv ? iv : loops_.i64(0));
    b_.CreateCall(f, args);
  }

  llvm::Function* inner_function(const std::string& suffix) {
    std::vector<llvm::Type*> types(kFirstIv, b_.getPtrTy());
    types.resize(kFirstIv + ivs_.size(), b_.getInt64Ty());
    return make_function(*f_->getParent(), llvm::FunctionType::get(b_.getVoidTy(), types, false),
                         f_->getName().str() + suffix, true, target_);
  }

  llvm::Function* pack_function(const Columns& c) {
    llvm::Function*& f = packs_[c];
    if (f) return f;
    f = inner_function(fmt::format(".pack{}", c.width()));
    const Kernel kernel = pack_kernel(k_, p_.b);
    const Analysis analysis(kernel);
    llvm::IRBuilder<> b(llvm::BasicBlock::Create(f->getContext(), "entry", f));
    Emitter e(b, *f_->getParent(), target_, analysis, f->getArg(0));
    const int end = static_cast<int>(k_.red.size());
    const Tile tile{.vec = p_.n, .parts = c.parts, .lanes = c.lanes, .tail = c.tail};
    if (p_.dot || packs_by_transposing(k_, p_.b, p_.n)) {
      std::vector<Value*> pars;
      for (size_t i = 0; i < ivs_.size(); ++i)
        pars.push_back(f->getArg(static_cast<unsigned>(kFirstIv + i)));
      if (p_.dot) emit_group_pack(e, k_, *p_.dot, tile, f->getArg(0), f->getArg(1), pars);
      else emit_transposing_pack(e, k_, p_.b, tile, f->getArg(0), f->getArg(1), pars);
      b.CreateRetVoid();
      return f;
    }
    prepare_inner(e, f, k_, end);
    e.redirect_store(0, f->getArg(1), panel_offset(kernel, c.width()), 0, 1);
    e.set_tile(tile);
    e.enter(0, Region::Pre);
    e.enter(0, Region::Post);
    e.reduction_loops(0, k_.red.back() >= 4 ? 4 : 1, [&] {
      e.enter(end, Region::Post);
      e.stores();
    });
    b.CreateRetVoid();
    return f;
  }

  llvm::Function* tile_function(int rows, const Columns& c, bool inside = false) {
    llvm::Function*& f = tiles_[{stage_, rows, inside, c}];
    if (f) return f;
    f = inner_function(fmt::format(".tile{}x{}{}{}{}", rows, c.width(), c.tail ? "t" : "",
                                   inside ? ".inside" : "",
                                   stage_ == Stage::End       ? ".end"
                                   : stage_ == Stage::Columns ? ".columns"
                                                              : ""));
    const Tile tile{.row = p_.m,
                    .rows = rows,
                    .vec = p_.n,
                    .parts = c.parts,
                    .lanes = c.lanes,
                    .tail = c.tail,
                    .acc_vectors = true,
                    .inside = inside};
    emit_contraction_tile(f, a_, p_, target_, stage_, tile);
    return f;
  }

  llvm::Function* f_;
  const Analysis& a_;
  const Kernel& k_;
  const ContractPlan& p_;
  const KernelSchedule& s_;
  const CodeTarget& target_;
  llvm::IRBuilder<> b_;
  Emitter loops_;
  std::vector<Value*> ivs_;
  Value *panel_ = nullptr, *sums_ = nullptr;
  Value *first_row_ = nullptr, *first_column_ = nullptr;  // of the sums
  Stage stage_ = Stage::Whole;
  const bool guards_each_step_;  // in the innermost loop of a tile
  std::map<Columns, llvm::Function*> packs_;
  std::map<std::tuple<Stage, int, bool, Columns>, llvm::Function*> tiles_;
};

}  // namespace

std::string emit_contraction(llvm::Function* f, const Analysis& a, const KernelSchedule& s,
                             const CodeTarget& target) {
  if (const auto grouped = group_steps(a.k, s.vector, target)) {
    const Analysis analysis(grouped->kernel);
    if (const auto plan = plan_contraction(analysis, s, target, &grouped->form))
      return Contraction(f, analysis, *plan, s, target).emit();
  }
  const auto plan = plan_contraction(a, s, target, nullptr);
  if (!plan) return {};
  if (plan->steps > 0) {
    const Kernel cut = cut_reduction(a.k, plan->steps);
    return Contraction(f, Analysis(cut), *plan, s, target).emit();
  }
  return Contraction(f, a, *plan, s, target).emit();
}

}  // namespace lathe::codegen
