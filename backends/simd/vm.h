// Runs a plan. A Run is one call: registers and symbols in thread-local scratch.
#pragma once

#include "backends/simd/plan.h"

namespace lathe::simd {

// Thread-local bytes, 64-byte aligned, kept and grown; `slot` tells apart users that are active at
// the same time.
enum class ScratchUse : uint8_t { Registers, Panels };
std::byte* scratch(ScratchUse slot, int64_t bytes);

inline constexpr size_t kMaxIvs = 64;

// The box of parallel points that [begin, end) of the parallel iv covers; whether it has any.
bool call_range(const Kernel& k, int parallel, int64_t scale, int64_t begin, int64_t end,
                int64_t* low, int64_t* high);
inline bool plan_range(const Plan& p, int64_t begin, int64_t end, int64_t* low, int64_t* high) {
  return call_range(p.k, p.parallel, p.scale, begin, end, low, high);
}

class Run {
 public:
  Run(const Plan& p, void* const* args);

  // Covers [begin, end) of the parallel iv (ignored without one).
  void range(int64_t begin, int64_t end);

  // For contractions, whose reduction is done elsewhere: `start` runs what depends on nothing; with
  // the parallel ivs set, `row` runs what does not depend on the vector iv; `finish_tile` the rest
  // for n elements, with `acc` as accumulators, of 4 bytes each; `finish_rows` both for [first,
  // first + rows) of the parallel iv m, whose accumulators follow each other, as few long tiles as
  // the registers allow.
  void start() { run_list(Level::Call, p_.tile); }
  int64_t* symbols() { return symbols_; }
  void row() { run_list(Level::Row, p_.tile); }
  void finish_tile(int64_t start, int64_t n, const void* acc);
  void finish_rows(SymbolId m, int64_t first, int64_t rows, int64_t start, int64_t n,
                   const void* acc);

 private:
  void points(const int64_t* low, const int64_t* high);
  void tiles(int64_t low, int64_t high);
  void reduce_row();
  template <class F>
  void each_step(size_t ivs, F&& body);
  void reset_accumulators(int64_t n);
  void fold(int64_t n, int64_t lane);
  void join_lanes(int64_t n);

  void run_list(Level l, int64_t n);
  void run_step(const TileStep& s, int64_t n);
  void run_chain(const TileStep& s, int64_t n);
  void run_stores(int64_t n);
  void store(const TileStore& s, int64_t n);
  void load(const TileStep& s, int64_t n);
  struct Rows {
    SymbolId m;
    int64_t first, count, n;  // n elements each
  };
  void finish_joined(const Rows& rows, int64_t start, const void* acc);
  void run_joined(Level l, const Rows& rows);
  void load_joined(const TileStep& s, const Rows& rows);
  void store_joined(const TileStore& s, const Rows& rows);
  void guard_test(const TileStep& s, int64_t n);
  // Points the register of a result that is written in place there; `contiguous`: the tile is.
  void place_result(bool contiguous);
  void fill_index(int64_t* out, const TileIndex& x, int64_t n) const;

  int64_t base(const TileIndex& x) const;
  int64_t floor_divided(const DerivedPlan& d) const;
  // The elements of the tile where interval guards hold, [first, last); returns whether guards
  // remain that are tested element by element.
  bool limit(const std::vector<int32_t>& guards, int64_t n, int64_t* first, int64_t* last) const;
  // mask[i] = the guards that are no intervals hold.
  void element_mask(const std::vector<int32_t>& guards, int64_t n, uint8_t* mask) const;

  template <class T>
  T* reg(Reg r) const {
    return static_cast<T*>(regs_[r]);
  }

  const Plan& p_;
  void* const* args_;
  std::byte* memory_;
  void** regs_;
  int64_t* symbols_;
  struct Kept {
    const std::byte* from = nullptr;
    int64_t n = 0, count = 0;  // elements of a row, rows
  };
  Kept kept_[kMostKept];
};

}  // namespace lathe::simd
