// Any kernel as a nest of loops in the order of its ivs, the vectorised one innermost of the
// parallel ones.
#include <algorithm>

#include "backends/llvm/emitter.h"
#include "backends/llvm/kernel.h"

namespace lathe::codegen {
namespace {

using llvm::Value;

class Nest {
 public:
  Nest(llvm::Function* f, const Analysis& a, const KernelSchedule& s, const CodeTarget& target)
      : a_(a),
        k_(a.k),
        parallel_(s.parallel),
        target_(target),
        builder_(llvm::BasicBlock::Create(f->getContext(), "entry", f)),
        e_(builder_, *f->getParent(), target, a, f->getArg(0)),
        begin_(f->getArg(1)),
        end_(f->getArg(2)) {
    choose_tile(s);
    const auto pars = static_cast<int>(k_.par.size()), reds = static_cast<int>(k_.red.size());
    for (int i = 0; i < pars; ++i)
      if (i != tile_.vec || k_.order == Order::Lanes) order_.push_back(i);
    if (static_cast<int>(order_.size()) < pars) order_.push_back(tile_.vec);
    for (int i = 0; i < pars; ++i) e_.set_level(order_[static_cast<size_t>(i)], i + 1);
    for (int i = 0; i < reds; ++i) e_.set_level(k_.red_symbol(i), pars + i + 1);
    const bool inside = k_.core == Core::Cumulative || k_.core == Core::Scatter;
    e_.set_ends(pars + reds, inside ? pars + reds : pars);
  }

  std::string emit() {
    e_.set_tile(tile_);
    enter(0);
    open(0);
    builder_.CreateRetVoid();
    return fmt::format("nest {}x{}", tile_.parts, tile_.lanes);
  }

 private:
  int par_count() const { return static_cast<int>(k_.par.size()); }

  void choose_tile(const KernelSchedule& s) {
    const int lanes = vector_lanes(k_, target_);
    tile_.acc_vectors = true;
    if (k_.order == Order::Lanes) {
      tile_.vec = k_.red_symbol(static_cast<int>(k_.red.size()) - 1);
      tile_.lanes = lanes;
      tile_.parts = kLanes / lanes;
      return;
    }
    if (s.vector < 0 || s.vector >= par_count()) return;
    const int64_t extent = k_.par[static_cast<size_t>(s.vector)];
    if (extent < 2) return;
    tile_.vec = s.vector;
    tile_.lanes = lanes;
    tile_.parts = static_cast<int>(std::min<int64_t>(wanted_parts(), (extent + lanes - 1) / lanes));
  }

  // Several chains hide latency; but long bodies run out of registers and compile slowly, and
  // lanes with symbols of their own are worked on one by one.
  int wanted_parts() const {
    for (size_t d = 0; d < k_.derived.size(); ++d)
      if (a_.symbols[k_.par.size() + k_.red.size() + d] & iv_bit(tile_.vec)) return 1;
    const size_t size = k_.body.size() + k_.reductions.size();
    return size <= 12 ? 4 : size <= 32 ? 2 : 1;
  }

  void enter(int level) {
    if (k_.steps() > 0) e_.enter(level, Region::Pre);
    const bool last = level == par_count();
    if (!last || k_.core == Core::Cumulative || k_.core == Core::Scatter) {
      if (!(last && k_.red.empty())) e_.enter(level, Region::Post);
    }
  }

  void open(int level) {
    if (level == par_count()) return point();
    const SymbolId s = order_[static_cast<size_t>(level)];
    if (s == tile_.vec) return s == parallel_ ? range_vectors(level) : vectors(level);
    const int64_t extent = k_.par[static_cast<size_t>(s)];
    const auto body = [&](Value* iv) { step(level, s, iv); };
    if (s == parallel_) e_.loop(begin_, end_, 1, false, body);
    else if (extent == 1) body(e_.i64(0));
    else e_.loop(e_.i64(0), e_.i64(extent), 1, true, body);
  }

  void step(int level, SymbolId s, Value* iv) {
    e_.set_symbol(s, iv);
    enter(level + 1);
    open(level + 1);
  }

  // The vector iv over its whole, known extent: whole tiles and one with what is left.
  void vectors(int level) {
    const int64_t extent = k_.par[static_cast<size_t>(tile_.vec)];
    const int64_t width = tile_.width(), main = extent / width * width;
    const auto body = [&](Value* iv) { step(level, tile_.vec, iv); };
    if (main == width) body(e_.i64(0));
    else if (main > 0) e_.loop(e_.i64(0), e_.i64(main), width, true, body);
    const int rest = static_cast<int>(extent - main);
    if (rest == 0) return;
    Tile tail = tile_;
    tail.parts = (rest + tile_.lanes - 1) / tile_.lanes;
    tail.tail = rest % tile_.lanes;
    e_.set_tile(tail);
    body(e_.i64(main));
    e_.set_tile(tile_);
  }

  // The vector iv over [begin, end): whole tiles, then masked vectors or single elements.
  void range_vectors(int level) {
    const int64_t width = tile_.width();
    Value* count = builder_.CreateSub(end_, begin_);
    Value* rest = builder_.CreateSRem(count, e_.i64(width));
    Value* main = builder_.CreateSub(end_, rest);
    e_.loop(begin_, main, width, false, [&](Value* iv) { step(level, tile_.vec, iv); });
    Tile tail = tile_;
    tail.parts = 1;
    const bool masked = e_.can_mask_all(tile_.vec);
    if (!masked) tail.lanes = 1;
    e_.loop(main, end_, tail.lanes, false, [&](Value* iv) {
      if (masked) tail.count = builder_.CreateSub(end_, iv);
      e_.set_tile(tail);
      step(level, tile_.vec, iv);
    });
    e_.set_tile(tile_);
  }

  void point() {
    const int pars = par_count();
    switch (k_.core) {
      case Core::Map:
        e_.enter(pars, Region::Post);
        e_.stores();
        return;
      case Core::Reduce:
        e_.start_accumulators();
        e_.start_flushing();
        e_.reduction_loops(pars, 1, [&] { e_.fold(); });
        e_.stop_flushing();
        if (k_.order == Order::Lanes) {
          e_.join_lanes();
          e_.set_tile(Tile{});
        }
        e_.enter(pars, Region::Post);
        e_.stores();
        if (k_.order == Order::Lanes) e_.set_tile(tile_);
        return e_.end_accumulators();
      case Core::Cumulative:
      case Core::Scatter: {
        const int end = pars + static_cast<int>(k_.red.size());
        e_.start_accumulators();
        e_.reduction_loops(pars, 1, [&] {
          if (!k_.exclusive) e_.fold();
          e_.enter(end, Region::Post);
          e_.stores();
          if (k_.exclusive) e_.fold();
        });
        return e_.end_accumulators();
      }
    }
  }

  const Analysis& a_;
  const Kernel& k_;
  int parallel_;
  const CodeTarget& target_;
  llvm::IRBuilder<> builder_;
  Emitter e_;
  Value *begin_, *end_;
  Tile tile_;
  std::vector<int> order_;  // parallel ivs, outermost first
};

}  // namespace

std::string emit_nest(llvm::Function* f, const Analysis& a, const KernelSchedule& s,
                      const CodeTarget& target) {
  return Nest(f, a, s, target).emit();
}

}  // namespace lathe::codegen
