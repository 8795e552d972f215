// Emits the body of a kernel for a tile of points: `rows` values of one iv times `parts` vectors of
// `lanes` values of another. Drivers (nest.cpp, contract.cpp) open the loops around it.
//
// A level is a loop depth: 0 is the function's entry, each loop adds one. Every instruction, guard,
// derived symbol and address is emitted once its level is entered, so what does not vary in a loop
// is outside of it. Entering a level again (another tile shape, the next iteration of emission)
// overwrites what was emitted for it.
#pragma once

#include <functional>

#include "backends/llvm/analysis.h"
#include "backends/llvm/dot.h"
#include "backends/llvm/scalar_ops.h"

namespace lathe::codegen {

struct Tile {
  SymbolId row = -1;  // iv of the rows; its symbol holds the first row's value
  int rows = 1;
  SymbolId vec = -1;  // iv of the lanes; its symbol holds the first lane's value
  int parts = 1;
  int lanes = 1;
  int tail = 0;                  // active lanes of the last part; 0: all
  llvm::Value* count = nullptr;  // active lanes where only known at run time (then parts == 1)
  bool acc_vectors = false;      // accumulators are vectors, not scalars
  bool inside = false;           // all guards hold

  int width() const { return parts * lanes; }
  int active(int part) const { return part == parts - 1 && tail > 0 ? tail : lanes; }
};

enum class Region : uint8_t { Pre, Post };

class Emitter {
 public:
  using Body = std::function<void(llvm::Value* iv)>;

  Emitter(llvm::IRBuilder<>& builder, llvm::Module& module, const CodeTarget& target,
          const Analysis& analysis, llvm::Value* args);

  // --- What the driver decides ---
  void set_tile(const Tile& tile);
  const Tile& tile() const { return tile_; }
  // The level at which an iv's value is known, and the levels at which the two regions end.
  void set_level(SymbolId iv, int level) { levels_[static_cast<size_t>(iv)] = level; }
  void set_ends(int pre, int post) { pre_end_ = pre, post_end_ = post; }
  void set_symbol(SymbolId s, llvm::Value* v) { symbols_[static_cast<size_t>(s)] = v; }
  // Reads instruction `load` from `root` at offset `e` + vec_coefficient * lane + row_coefficient *
  // row instead of from its operand.
  void redirect(ScalarId load, llvm::Value* root, const IndexExpr& e, int64_t row_coefficient,
                int64_t vec_coefficient);
  void redirect_store(size_t store, llvm::Value* root, const IndexExpr& e, int64_t row_coefficient,
                      int64_t vec_coefficient);

  // Copies of the innermost body share no loads: what neighbouring rows read of an image would be
  // kept for the next copies, in registers that are not there.
  void separate_copies() { separate_copies_ = true; }
  // Emits this load only where fold() needs it, row by row: all rows at once would take a register
  // each. It must be an argument of the only reduction and of nothing else.
  void defer(ScalarId load) { deferred_ = load; }
  // Leaves out what the padding of a sum that is `padded` would add: all of it at the points where
  // no row of a tile is inside, and single rows where the load that is guarded is deferred.
  void leave_out_padding();
  // With each whole vector loaded from the operand, fetches what lies so many bytes behind it.
  void fetch(int operand, int64_t ahead) { fetched_ = operand, ahead_ = ahead; }
  // Loads and folds groups of steps. With `columns` the sums are of the columns of b alone, each
  // element times what flipping the sign of `a` adds to it.
  // Precondition: `a` is deferred.
  void set_dot(const DotForm* form, bool columns) { dot_ = form, dot_columns_ = columns; }

  // --- Emission ---
  void enter(int level, Region region);
  void stores();
  // The accumulators: start at the identity, run over the reduction space from `level` on with
  // `unroll` copies of the innermost body, calling `inner` after each evaluation of pre.
  void start_accumulators();
  void end_accumulators();
  void reduction_loops(int level, int unroll, const std::function<void()>& inner);
  void fold();
  // Sums by FmaFlush between these two run with the CPU set to flush, where that can be had;
  // elsewhere every fold does it itself. The accumulators have started.
  void start_flushing();
  void stop_flushing();
  // Combines the lanes of Order::Lanes; leaves a scalar for each row.
  void join_lanes();
  llvm::Value*& accumulator(size_t reduction, int row, int part);

  // Sums in memory (sums.cpp): row `row` + r, of rows as wide as the tile.
  llvm::Value* sum_at(llvm::Value* sums, llvm::Value* row, int r, int part);
  llvm::Value* load_sum(llvm::Value* sums, llvm::Value* row, int r, int part);
  void keep_sums(llvm::Value* sums);
  // The accumulators in memory of the function's own: a long epilogue over all of a tile's
  // registers would spill most of them; over a stored tile it runs on rows that are in L1.
  llvm::Value* store_sums();
  // What follows the sums, row by row in a loop that is `level`; `first` is the first row, and what
  // varies with the rows was entered at levels not below `from`.
  void finish_rows(llvm::Value* sums, llvm::Value* first, int from, int level);

  // A loop over begin, begin + step, .. < end; `nonempty` where that is known. The accumulators
  // are carried through loops that are not empty.
  void loop(llvm::Value* begin, llvm::Value* end, int64_t step, bool nonempty, const Body& body);

  // Whether all guards hold at `rows` values of `row` from its symbol's on, at those of the other
  // parallel ivs, and over the whole reduction space; null where that cannot be told.
  llvm::Value* all_inside(SymbolId row, int rows);

  llvm::Value* use(ScalarId id, int row, int part, bool vector);
  llvm::Value* i64(int64_t v) const { return b_.getInt64(static_cast<uint64_t>(v)); }
  llvm::IRBuilder<>& builder() { return b_; }
  ScalarOps& ops() { return ops_; }
  // Whether a tile whose lane count is known at run time can be emitted: masked accesses only.
  bool can_mask_all(SymbolId vec) const;

 private:
  struct Cells {
    bool by_row = false, by_part = false;
    std::vector<llvm::Value*> values, splats;
  };
  struct Slot {
    int32_t operand = -1;
    IndexExpr offset;  // without what row_coefficient and vec_coefficient say of a redirected slot
    int64_t row_coefficient = 0, vec_coefficient = 0;
    const std::vector<IndirectTerm>* indirect = nullptr;
    llvm::Value* root = nullptr;
    bool redirected = false;
    std::vector<llvm::Value*> pointer;  // by level
    // Where all guards are known outside of the innermost loops, the choice between the operand and
    // zeros is made there, for every row: pointers from that level on, [row][level].
    int guarded_from = -1;
    std::vector<std::vector<llvm::Value*>> row_pointer;
  };

  llvm::Type* sum_type();
  llvm::Value* opaque(llvm::Value* v);

  // emitter.cpp
  bool by_row(IvSet s) const;
  bool by_part(IvSet s) const;
  int level_of(IvSet s, Region region) const;
  void emit(ScalarId id);
  llvm::Value* compute(ScalarId id, int row, int part, bool vector);
  void emit_row(ScalarId id, int row);
  void fold(size_t reduction, int row, int part);
  llvm::Value* joined_lanes(size_t reduction, int row);
  void carry(std::vector<llvm::PHINode*>& phis, llvm::BasicBlock* from);
  void reduction_loop(int level, int unroll, const std::function<void()>& inner);
  void innermost_loop(int level, int unroll, const std::function<void()>& inner);
  void lanes_loop(int level, const std::function<void()>& inner);

  // padding.cpp
  struct Margins {  // rows of a tile that may lie outside, before those that are inside and after
    GuardId guard = -1;
    int before = 0, after = 0;
  };
  void within_image(int level, const std::function<void()>& body);
  void choose(llvm::Value* condition, const std::function<void()>& then,
              const std::function<void()>& otherwise);
  Margins margins(const Instr& load, int level) const;
  llvm::Value* inside(GuardId guard, int row) const;

  // flush.cpp
  bool can_flush() const;
  void pin_accumulators();

  // address.cpp
  Slot slot_of(const Access& a) const;
  void derive(int level);
  void advance(Slot& s, int level);
  llvm::Value* terms_at(const Slot& s, int level);
  void guard_early(ScalarId load, int level, Region region);
  llvm::Value* index(const IndexExpr& e, int row, int lane);
  llvm::Value* index_vector(const IndexExpr& e, int row, int part);
  llvm::Value* floor_div(llvm::Value* v, int64_t divisor, Range range);
  llvm::Value* address(const Slot& s, int level, int row, int lane);
  bool contiguous(const Slot& s) const;
  llvm::Value* guard(GuardId g, int row, int part);

  // memory.cpp
  struct Condition {
    llvm::Value* scalar = nullptr;
    llvm::Value* vector = nullptr;
  };
  Condition condition(const std::vector<GuardId>& guards, int row, int part);
  llvm::Value* guarded(llvm::Value* pointer, llvm::Value* condition, int64_t bytes = 8 * kLanes,
                       int fill = 0);
  llvm::Value* filler(int64_t bytes, int fill);
  int fill_of(ScalarId load) const { return dot_ && load == dot_->a ? dot_->fill : 0; }
  bool maskable(DType t) const;
  llvm::Value* tile_mask(int part);
  llvm::Value* load(ScalarId id, int row, int part, bool vector);
  llvm::Value* vector_pointer(const Slot& s, int level, DType t, int row, int part,
                              llvm::Value* condition);
  llvm::Value* load_lanes(const Slot& s, int level, DType t, int row, int part, const Condition& c);
  void fetch_ahead(llvm::Value* pointer);
  llvm::Value* load_group(ScalarId id, int row, int part);
  llvm::Value* group_of_a(llvm::Value* pointer);
  llvm::Value* groups_of_b(const Slot& s, int level, int part);
  void store(const Store& s, const Slot& slot, int row, int part);
  void store_lanes(const Store& s, const Slot& slot, llvm::Value* v, int row, int part);
  void store_pieces(const Slot& slot, llvm::Value* v, int row, int part, DType t);

  llvm::IRBuilder<>& b_;
  llvm::Module& module_;
  const CodeTarget& target_;
  const Analysis& a_;
  const Kernel& k_;
  llvm::Value* args_;
  ScalarOps ops_;

  Tile tile_;
  std::vector<int> levels_;  // by iv
  int pre_end_ = 0, post_end_ = 0;
  std::vector<llvm::Value*> symbols_;
  std::vector<int64_t> shifts_;                     // added to symbols_ in unrolled copies
  std::vector<std::vector<llvm::Value*>> varying_;  // derived symbols that vary in the tile
  std::vector<Cells> cells_;
  std::vector<Cells> guard_cells_;
  std::vector<Slot> slots_;  // loads by ScalarId, then stores
  std::vector<bool> feeds_vector_;
  ScalarId deferred_ = -1;
  int fetched_ = -1;  // the operand
  int64_t ahead_ = 0;
  bool separate_copies_ = false;
  ScalarId padded_ = -1;             // the load whose padding is left out
  int first_row_ = 0, end_row_ = 0;  // those that fold
  const DotForm* dot_ = nullptr;
  bool dot_columns_ = false;
  bool last_group_ = false;         // the one that may have fewer steps
  llvm::Value* control_ = nullptr;  // where the CPU's mode before start_flushing() is kept
  bool flushing_ = false;
  int acc_parts_ = 1;
  std::vector<std::vector<llvm::Value*>> acc_;
};

}  // namespace lathe::codegen
