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
    if (k_.core == Core::Map) e_.fetch(s.fetch, s.ahead);
    const auto pars = static_cast<int>(k_.par.size()), reds = static_cast<int>(k_.red.size());
    const bool vectors = tile_.vec >= 0 && k_.order != Order::Lanes;
    for (int i = 0; i < pars; ++i)
      if (i != tile_.row && !(vectors && i == tile_.vec)) order_.push_back(i);
    // Windows overlap along the rows and the iv before them: where a strip of rows stays in L1,
    // what tiles have read of their lanes is there when the next ones read it.
    const bool strips = tile_.row >= 0 && strip_bytes() < target.l1_bytes;
    if (vectors && strips) order_.insert(order_.end() - (order_.empty() ? 0 : 1), tile_.vec);
    if (tile_.row >= 0) order_.push_back(tile_.row);
    if (vectors && !strips) order_.push_back(tile_.vec);
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
    if (rows_ > 1) return fmt::format("nest {}x{}x{}", rows_, tile_.parts, tile_.lanes);
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
      if (const SymbolId row = shared_row(); row >= 0) rows_of_lanes(row);
      return;
    }
    if (s.vector < 0 || s.vector >= par_count()) return;
    const int64_t extent = k_.par[static_cast<size_t>(s.vector)];
    if (extent < 2) return;
    tile_.vec = s.vector;
    tile_.lanes = lanes;
    tile_.parts = static_cast<int>(std::min<int64_t>(wanted_parts(), (extent + lanes - 1) / lanes));
    if (const SymbolId row = shared_row(); row >= 0 && row != parallel_) tile_rows(row, extent);
  }

  // Of a sum of products, the innermost parallel iv along which one factor moves and the other does
  // not: rows of it share that factor's vectors (depthwise convolutions: the weights of a tap).
  SymbolId shared_row() const {
    if (k_.core != Core::Reduce || k_.reductions.size() != 1 || k_.steps() < 2) return -1;
    const Reduction& r = k_.reductions[0];
    if (r.combine != Combine::Fma) return -1;
    const IvSet a = a_.instrs[static_cast<size_t>(r.a)], b = a_.instrs[static_cast<size_t>(r.b)];
    for (int i = par_count(); i-- > 0;)
      if (i != tile_.vec && k_.par[static_cast<size_t>(i)] > 1 && ((a ^ b) & iv_bit(i))) return i;
    return -1;
  }

  // A matrix times a vector: the vector is read once for all rows of a tile, and several rows at a
  // time come from memory faster than one by one. The register budget is that of tile_rows.
  void rows_of_lanes(SymbolId row) {
    constexpr int64_t kMostRows = 4;
    constexpr int32_t kShortBody = 8;
    if (k_.pre > kShortBody) return;
    const int registers = target_.isa == Isa::avx512 ? 32 : 16;
    const int64_t fit = std::max(1, (registers - 1) / tile_.parts - 1);
    rows_ = static_cast<int>(std::min({fit, kMostRows, k_.par[static_cast<size_t>(row)]}));
    if (rows_ > 1) tile_.row = row, tile_.rows = rows_;
  }

  // Register budget: rows * parts accumulators and parts vectors of the factor that rows share; the
  // other is read by the multiply-adds. Among those that fit, tiles that leave least of both
  // extents, then the largest.
  void tile_rows(SymbolId row, int64_t columns) {
    const int registers = target_.isa == Isa::avx512 ? 32 : 16;
    const int64_t vectors = (columns + tile_.lanes - 1) / tile_.lanes;
    const int64_t height = k_.par[static_cast<size_t>(row)];
    const auto tiles = [](int64_t extent, int64_t size) { return (extent + size - 1) / size; };
    double best = 0;
    for (int parts = 1; parts <= std::min<int64_t>(4, vectors); ++parts)
      for (int rows = 1; (rows + 1) * parts < registers && rows <= std::min<int64_t>(8, height);
           ++rows) {
        const auto used =
            static_cast<double>(vectors * height) /
            static_cast<double>(tiles(vectors, parts) * parts * tiles(height, rows) * rows);
        const double score = used * rows * parts / (rows * parts + parts + rows);
        if (score > best) best = score, rows_ = rows, tile_.parts = parts;
      }
    if (rows_ == 1) return;
    tile_.row = row;
    tile_.rows = rows_;
  }

  // What the lanes of a tile read for all rows at one point of the other ivs.
  int64_t strip_bytes() const {
    const Reduction& r = k_.reductions[0];
    const bool first = a_.instrs[static_cast<size_t>(r.a)] & iv_bit(tile_.row);
    const IndexExpr& at = k_.body[static_cast<size_t>(first ? r.a : r.b)].access.offset;
    const SymbolId last = k_.red_symbol(static_cast<int>(k_.red.size()) - 1);
    const int64_t stride = at.coefficient(tile_.row) / std::max<int64_t>(at.coefficient(last), 1);
    const int64_t columns =
        k_.par[static_cast<size_t>(tile_.row)] * std::max<int64_t>(std::abs(stride), 1);
    return k_.steps() / k_.red.back() * columns * tile_.parts * target_.vector_bytes();
  }

  // Several chains hide latency, which a core does not see far enough ahead to hide by itself: erf
  // is 21 dependent steps of 40. As many as have registers for what lives at a time; constants
  // need none, instructions read them from memory. Code for long bodies takes long to make, and
  // lanes with symbols of their own are worked on one by one.
  int wanted_parts() const {
    constexpr int64_t kMostParts = 4, kMostInstrs = 256;
    for (size_t d = 0; d < k_.derived.size(); ++d)
      if (a_.symbols[k_.par.size() + k_.red.size() + d] & iv_bit(tile_.vec)) return 1;
    const int64_t size = std::ssize(k_.body) + std::ssize(k_.reductions);
    if (k_.core != Core::Map) return size <= 12 ? 4 : size <= 32 ? 2 : 1;
    const int64_t registers = target_.isa == Isa::avx512 ? 32 : 16;
    const int64_t varying =
        std::ranges::count_if(a_.instrs, [&](IvSet set) { return (set & iv_bit(tile_.vec)) != 0; });
    const int64_t fit =
        std::min(registers / most_live(), kMostInstrs / std::max<int64_t>(varying, 1));
    return fit >= kMostParts ? kMostParts : fit >= 2 ? 2 : 1;
  }

  // Of the values that vary along the lanes, the most that live at a time; at least 1.
  int64_t most_live() const {
    std::vector<size_t> last(k_.body.size(), 0);  // use
    const auto varies = [&](size_t id) { return (a_.instrs[id] & iv_bit(tile_.vec)) != 0; };
    for (size_t i = 0; i < k_.body.size(); ++i)
      for (const ScalarId arg : k_.body[i].args)
        if (arg >= 0) last[static_cast<size_t>(arg)] = i;
    for (const Store& s : k_.stores) last[static_cast<size_t>(s.value)] = k_.body.size();
    int64_t live = 0, most = 1;
    for (size_t i = 0; i < k_.body.size(); ++i) {
      std::vector<ScalarId> args(k_.body[i].args.begin(), k_.body[i].args.end());
      std::ranges::sort(args);
      args.erase(std::ranges::unique(args).begin(), args.end());
      for (const ScalarId arg : args)
        live -= arg >= 0 && last[static_cast<size_t>(arg)] == i && varies(static_cast<size_t>(arg));
      live += varies(i) && last[i] > i;
      most = std::max(most, live);
    }
    return most;
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
    if (s == tile_.row) return rows(level);
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

  // The rows: over their known extent in tiles of two neighbouring heights, else in whole tiles and
  // then one by one.
  void rows(int level) {
    const int64_t extent = k_.par[static_cast<size_t>(tile_.row)];
    const int64_t tiles = (extent + rows_ - 1) / rows_;
    const int64_t base = extent / tiles, taller = extent % tiles, middle = taller * (base + 1);
    if (tile_.row != parallel_) {
      row_tiles(level, e_.i64(0), e_.i64(middle), base + 1);
      row_tiles(level, e_.i64(middle), e_.i64(extent), base);
      return;
    }
    Value* rest = builder_.CreateSRem(builder_.CreateSub(end_, begin_), e_.i64(rows_));
    Value* whole = builder_.CreateSub(end_, rest);
    row_tiles(level, begin_, whole, rows_);
    row_tiles(level, whole, end_, 1);
  }

  void row_tiles(int level, Value* begin, Value* end, int64_t height) {
    const auto* first = llvm::dyn_cast<llvm::ConstantInt>(begin);
    const auto* last = llvm::dyn_cast<llvm::ConstantInt>(end);
    const int64_t count = first && last ? last->getSExtValue() - first->getSExtValue() : -1;
    if (count == 0) return;
    const Tile whole = e_.tile();
    Tile tile = whole;
    tile.rows = static_cast<int>(height);
    e_.set_tile(tile);
    const auto body = [&](Value* iv) {
      row_begin_ = iv;
      step(level, tile_.row, iv);
    };
    if (count == height) body(begin);
    else e_.loop(begin, end, height, count > 0, body);
    e_.set_tile(whole);
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
    const Tile whole = e_.tile();  // of the rows that it stands in
    Tile tail = whole;
    tail.parts = (rest + tile_.lanes - 1) / tile_.lanes;
    tail.tail = rest % tile_.lanes;
    e_.set_tile(tail);
    body(e_.i64(main));
    e_.set_tile(whole);
  }

  // The vector iv over [begin, end): whole tiles, then masked vectors or single elements.
  void range_vectors(int level) {
    const int64_t width = tile_.width();
    Value* count = builder_.CreateSub(end_, begin_);
    Value* rest = builder_.CreateSRem(count, e_.i64(width));
    Value* main = builder_.CreateSub(end_, rest);
    e_.loop(begin_, main, width, false, [&](Value* iv) { step(level, tile_.vec, iv); });
    const Tile whole = e_.tile();
    Tile tail = whole;
    tail.parts = 1;
    const bool masked = e_.can_mask_all(tile_.vec);
    if (!masked) tail.lanes = 1;
    e_.loop(main, end_, tail.lanes, false, [&](Value* iv) {
      if (masked) tail.count = builder_.CreateSub(end_, iv);
      e_.set_tile(tail);
      step(level, tile_.vec, iv);
    });
    e_.set_tile(whole);
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
        if (k_.order == Order::Lanes) return finish_lanes();
        if (e_.tile().rows > 1 && long_epilogue(k_)) return finish_rows();
        e_.enter(pars, Region::Post);
        e_.stores();
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

  // Of sums that are scalars now, one a row.
  void finish_lanes() {
    e_.join_lanes();
    const Tile tile = e_.tile();
    e_.set_tile({.row = tile.row, .rows = tile.rows});
    if (tile.rows > 1 && long_epilogue(k_)) {
      finish_rows();
    } else {
      e_.enter(par_count(), Region::Post);
      e_.stores();
      e_.end_accumulators();
    }
    e_.set_tile(tile);
  }

  void finish_rows() {
    const auto at = std::ranges::find(order_, tile_.row) - order_.begin();
    e_.finish_rows(e_.store_sums(), row_begin_, static_cast<int>(at) + 1, par_count() + 1);
  }

  const Analysis& a_;
  const Kernel& k_;
  int parallel_;
  const CodeTarget& target_;
  llvm::IRBuilder<> builder_;
  Emitter e_;
  Value *begin_, *end_;
  Value* row_begin_ = nullptr;  // the first row of the tile
  Tile tile_;
  int rows_ = 1;            // of the tallest tiles
  std::vector<int> order_;  // parallel ivs, outermost first
};

}  // namespace

std::string emit_nest(llvm::Function* f, const Analysis& a, const KernelSchedule& s,
                      const CodeTarget& target) {
  return Nest(f, a, s, target).emit();
}

}  // namespace lathe::codegen
