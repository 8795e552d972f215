// Contractions by register tiles: accumulators stay in registers over the whole reduction, panels
// of b are packed where their rows are far apart, and each tile shape is one internal function.
//
//   for outer ivs                    b varies in them
//     for blocks of m                as much of a as stays in L2
//       for panels of n              pack b[.., k, n0 .. n0 + width)
//         for inner ivs
//           for tiles of m           tile(args, panel, ivs..)
#include <algorithm>
#include <map>
#include <utility>

#include "backends/llvm/contract_plan.h"
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
        ivs_(k_.par.size(), nullptr) {}

  std::string emit() {
    panel_ = llvm::ConstantPointerNull::get(b_.getPtrTy());
    if (p_.pack) {
      const int32_t operand = k_.body[static_cast<size_t>(p_.b)].access.operand;
      llvm::Type* element = memory_type(k_.operands[static_cast<size_t>(operand)].dtype);
      auto* scratch =
          b_.CreateAlloca(element, b_.getInt64(static_cast<uint64_t>(k_.steps() * p_.width())));
      scratch->setAlignment(llvm::Align(64));
      panel_ = scratch;
    }
    over(p_.outer, 0, [&] { blocks(); });
    b_.CreateRetVoid();
    return fmt::format("contract {}x{}{}", p_.rows, p_.width(), p_.pack ? " packed" : "");
  }

 private:
  // A tile's extent along n: a whole panel, the last one, or one column.
  struct Columns {
    int parts, lanes, tail;
    bool operator<(const Columns& o) const {
      return std::tie(parts, lanes, tail) < std::tie(o.parts, o.lanes, o.tail);
    }
    int width() const { return parts * lanes; }
  };

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

  // Blocks of rows that stay in L2 while all panels pass.
  void blocks() {
    if (p_.m < 0) return panels([&](const Columns& c) { call(tile_function(1, c)); });
    const int64_t block = p_.block;
    const auto whole = [&](int64_t count) {
      Value* first = ivs_[static_cast<size_t>(p_.m)];
      panels([this, first, count](const Columns& c) { split(first, count, c); });
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
    const int64_t base = block / ((block + p_.rows - 1) / p_.rows);
    Value* last = b_.CreateSub(end, b_.CreateSRem(over_end, loops_.i64(base)));
    // Once, if at all: what is left of a block, in tiles of one height and then single rows.
    step_through(p_.m, main, end, block, [&] {
      panels([&](const Columns& c) {
        step_through(p_.m, main, last, base,
                     [&] { call(tile_function(static_cast<int>(base), c)); });
        if (base > 1) step_through(p_.m, last, end, 1, [&] { call(tile_function(1, c)); });
      });
    });
  }

  void panels(const Rows& rows) {
    const Columns whole{p_.parts, p_.lanes, 0};
    const int64_t n = extent(p_.n), width = p_.width(), rest = n % width;
    const Columns last{static_cast<int>((rest + p_.lanes - 1) / p_.lanes), p_.lanes,
                       static_cast<int>(rest % p_.lanes)};
    if (p_.n != s_.parallel) {
      step_through(p_.n, loops_.i64(0), loops_.i64(n - rest), width, [&] { panel(whole, rows); });
      step_through(p_.n, loops_.i64(n - rest), loops_.i64(n), rest, [&] { panel(last, rows); });
      return;
    }
    Value *begin = begin_of(p_.n), *end = end_of(p_.n);
    Value* over_end = b_.CreateSRem(b_.CreateSub(end, begin), loops_.i64(width));
    Value* main = b_.CreateSub(end, over_end);
    step_through(p_.n, begin, main, width, [&] { panel(whole, rows); });
    Value* left = main;
    if (rest > 0) {
      // The usual remainder at the end of n; whatever else a caller leaves goes column by column.
      Value* usual = b_.CreateICmpEQ(over_end, loops_.i64(rest));
      left = b_.CreateSelect(usual, end, main);
      step_through(p_.n, main, left, rest, [&] { panel(last, rows); });
    }
    step_through(p_.n, left, end, 1, [&] { panel(Columns{1, 1, 0}, rows); });
  }

  void panel(const Columns& c, const Rows& rows) {
    if (p_.pack && c.lanes > 1) call(pack_function(c));
    over(p_.inner, 0, [&] { rows(c); });
  }

  // `count` rows from `begin` in tiles of two neighbouring heights.
  void split(Value* begin, int64_t count, const Columns& c) {
    const int64_t tiles = (count + p_.rows - 1) / p_.rows;
    const int64_t base = count / tiles, taller = count % tiles;
    Value* middle = b_.CreateAdd(begin, loops_.i64(taller * (base + 1)));
    Value* end = b_.CreateAdd(begin, loops_.i64(count));
    if (taller > 0)
      step_through(p_.m, begin, middle, base + 1,
                   [&] { call(tile_function(static_cast<int>(base) + 1, c)); });
    step_through(p_.m, middle, end, base, [&] { call(tile_function(static_cast<int>(base), c)); });
  }

  void call(llvm::Function* f) {
    std::vector<Value*> args = {f_->getArg(0), panel_};
    for (Value* iv : ivs_) args.push_back(iv ? iv : loops_.i64(0));
    b_.CreateCall(f, args);
  }

  llvm::Function* inner_function(const std::string& suffix) {
    std::vector<llvm::Type*> types(2, b_.getPtrTy());
    types.resize(2 + ivs_.size(), b_.getInt64Ty());
    return make_function(*f_->getParent(), llvm::FunctionType::get(b_.getVoidTy(), types, false),
                         f_->getName().str() + suffix, true, target_);
  }

  // Levels as every inner function has them: the parallel ivs are arguments.
  void prepare(Emitter& e, llvm::Function* f, int post_end) {
    for (size_t i = 0; i < ivs_.size(); ++i)
      e.set_symbol(static_cast<SymbolId>(i), f->getArg(static_cast<unsigned>(2 + i)));
    const int reds = static_cast<int>(k_.red.size());
    for (int i = 0; i < reds; ++i) e.set_level(k_.red_symbol(i), i + 1);
    e.set_ends(reds, post_end);
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
    prepare(e, f, end);
    e.redirect_store(0, f->getArg(1), panel_offset(kernel, c.width()), 0, 1);
    e.set_tile({.vec = p_.n, .parts = c.parts, .lanes = c.lanes, .tail = c.tail});
    e.enter(0, Region::Pre);
    e.enter(0, Region::Post);
    e.reduction_loops(0, k_.red.back() >= 4 ? 4 : 1, [&] {
      e.enter(end, Region::Post);
      e.stores();
    });
    b.CreateRetVoid();
    return f;
  }

  llvm::Function* tile_function(int rows, const Columns& c) {
    llvm::Function*& f = tiles_[{rows, c}];
    if (f) return f;
    f = inner_function(fmt::format(".tile{}x{}{}", rows, c.width(), c.tail ? "t" : ""));
    llvm::IRBuilder<> b(llvm::BasicBlock::Create(f->getContext(), "entry", f));
    Emitter e(b, *f_->getParent(), target_, a_, f->getArg(0));
    prepare(e, f, 0);
    if (p_.pack && c.lanes > 1) e.redirect(p_.b, f->getArg(1), panel_offset(k_, c.width()), 0, 1);
    const Tile tile{.row = p_.m,
                    .rows = rows,
                    .vec = p_.n,
                    .parts = c.parts,
                    .lanes = c.lanes,
                    .tail = c.tail,
                    .acc_vectors = true};
    e.set_tile(tile);
    if (p_.defer_a) e.defer(p_.b == k_.reductions[0].b ? k_.reductions[0].a : k_.reductions[0].b);
    e.enter(0, Region::Pre);
    e.start_accumulators();
    e.reduction_loops(0, p_.unroll, [&] { e.fold(); });
    if (p_.rows_in_memory && rows > 1) {
      finish_rows(e, f, tile);
    } else {
      e.enter(0, Region::Post);
      e.stores();
    }
    b.CreateRetVoid();
    return f;
  }

  // A long epilogue over all of a tile's registers would spill most of them; over a stored tile it
  // runs on rows that are in L1.
  void finish_rows(Emitter& e, llvm::Function* f, Tile tile) {
    llvm::IRBuilder<>& b = e.builder();
    llvm::Type* element = e.ops().type(k_.reductions[0].type, tile.lanes);
    llvm::IRBuilder<> entry(&f->getEntryBlock(), f->getEntryBlock().begin());
    auto* buffer =
        entry.CreateAlloca(element, entry.getInt64(static_cast<uint64_t>(tile.rows * tile.parts)));
    buffer->setAlignment(llvm::Align(64));
    const auto at = [&](Value* row, int r, int part) {
      Value* i = b.CreateAdd(b.CreateMul(row, e.i64(tile.parts)), e.i64(r * tile.parts + part));
      return b.CreateGEP(element, buffer, i);
    };
    for (int r = 0; r < tile.rows; ++r)
      for (int p = 0; p < tile.parts; ++p)
        b.CreateStore(e.accumulator(0, r, p), at(e.i64(0), r, p));
    e.end_accumulators();

    const int rows = tile.rows;
    tile.rows = 1;
    e.set_tile(tile);
    e.set_level(p_.m, 1);
    e.set_ends(static_cast<int>(k_.red.size()), 1);
    e.enter(0, Region::Post);
    Value* first = f->getArg(static_cast<unsigned>(2 + p_.m));
    e.loop(e.i64(0), e.i64(rows), 1, true, [&](Value* row) {
      e.set_symbol(p_.m, b.CreateAdd(first, row));
      e.start_accumulators();
      for (int p = 0; p < tile.parts; ++p)
        e.accumulator(0, 0, p) = b.CreateLoad(element, at(row, 0, p));
      e.enter(1, Region::Post);
      e.stores();
      e.end_accumulators();
    });
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
  Value* panel_ = nullptr;
  std::map<Columns, llvm::Function*> packs_;
  std::map<std::pair<int, Columns>, llvm::Function*> tiles_;
};

}  // namespace

std::string emit_contraction(llvm::Function* f, const Analysis& a, const KernelSchedule& s,
                             const CodeTarget& target) {
  const auto plan = plan_contraction(a, s, target);
  if (!plan) return {};
  return Contraction(f, a, *plan, s, target).emit();
}

}  // namespace lathe::codegen
