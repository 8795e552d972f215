// Blocks:  for rows [m0, m0 + block): copy A if its layout is bad for broadcasts, or has gaps; for
//          few columns find where each run of k begins in each row instead
//            for panels, columns [n0, n0 + chunk):
//              for k in steps of at most kLongestK; for panels of B, one register tile wide:
//                copy the panel (once a call, if all fit)
//                for register tiles down the rows: multiply
//              finish the chunk row by row, or several rows as one tile (Run::finish_rows)
// Every sum takes its products in the order of k, whatever the blocking.
//
// A panel of B (K * 64 bytes on avx2) and a register tile of A stay in L2 while the rows are swept;
// the block of sums stays in L2 until it is finished.
#include "backends/simd/contraction.h"

#include <algorithm>
#include <type_traits>

#include "backends/simd/factors.h"
#include "backends/simd/flush.h"
#include "backends/simd/pack.h"
#include "backends/simd/vm.h"

namespace lathe::simd {
namespace {

constexpr int64_t kLongestK = 4096, kBlockedK = 2048;
constexpr int64_t kChunk = 256;              // columns finished together, at most
constexpr int64_t kRowChunk = 2048;          // of a single row, whose sums stay in L1
constexpr int64_t kBlockFloats = 32 << 10;   // of sums
constexpr int64_t kCopyFloats = 128 << 10;   // of A
constexpr int64_t kRowsWorthPacking = 8;     // register tiles of rows
constexpr int64_t kPanelFloats = 128 << 10;  // of B, kept in panels for a whole call
constexpr int64_t kColumnsWorthCopying = 2;  // register tiles of columns for a copy of A

// Rows of a register tile: `rows` split into as few tiles as possible, as equal as possible.
struct RowTiles {
  int64_t rows, most;
  int64_t count() const { return (rows + most - 1) / most; }
  int64_t begin(int64_t t) const { return t * rows / count(); }
};

// Where the register tiles find A.
template <class Sum>
struct Rows {
  const Sum* data;
  int64_t row, step;  // of plain rows
  bool packed;        // tile after tile, each [k][its rows]
  const Sum* const* starts =
      nullptr;  // where they lie apart: tile after tile, each [run][its rows]
};

// T: of the factors.
template <class T>
class Multiply {
  static constexpr bool kWidens = !std::is_same_v<T, float>;  // factors are used as copies only
  using Sum = SumOf<T>;
  using Rows = simd::Rows<Sum>;

 public:
  Multiply(const Contraction& x, void* const* args)
      : x_(x),
        tiles_of_(tiles_of(*x.table)),
        run_(x.plan, args),
        args_(args),
        width_(x.table->gemm_width) {
    finish_ = chunk_ = std::min(kChunk, x.plan.tile);
    const int64_t most = x.table->gemm_rows;
    block_ =
        std::clamp<int64_t>(std::min(kBlockFloats / chunk_, kCopyFloats / x.k), most, 1 << 20) /
        most * most;
    k_block_ = x.k <= kLongestK ? x.k : kBlockedK;
    guard_origins_.resize(x.guards.size());
    varies_within_runs_ =
        std::ranges::any_of(x.guards, [](const RowGuard& g) { return g.step != 0; });
    all_intervals_ = std::ranges::all_of(
        x.guards, [](const RowGuard& g) { return g.along % g.guard.multiple_of == 0; });
    run_.start();
  }

  void range(const int64_t* low, const int64_t* high) {
    low_ = low, high_ = high;
    const int64_t rows = x_.m >= 0 ? high[x_.m] - low[x_.m] : 1;
    if (!kWidens && rows == 1 && x_.b.along == 1 && x_.b.runs.empty() && x_.b_there.empty() &&
        high[x_.n] - low[x_.n] >= kChunk)
      chunk_ = kRowChunk;
    const int64_t panels = x_.panels >= 0 ? high[x_.panels] - low[x_.panels] : 1;
    per_panel_ = (high[x_.n] - low[x_.n] + width_ - 1) / width_;
    keeps_panels_ = x_.k <= k_block_ && panels * per_panel_ * width_ * x_.k <= kPanelFloats;
    packed_.assign(static_cast<size_t>(keeps_panels_ ? panels * per_panel_ : 1), nullptr);
    apart_ = rows_lie_apart(panels * (high[x_.n] - low[x_.n]));
    // A register tile of the last columns may reach beyond them.
    const int64_t sums = round_up(std::min(rows, block_) * chunk_ + width_);
    const int64_t panel = round_up(std::ssize(packed_) * k_block_ * width_);
    // An entry of `starts` takes two floats.
    const int64_t block = std::min(rows, block_);
    const int64_t starts = apart_ ? round_up(2 * block * std::ssize(x_.a.runs)) : 0;
    const int64_t zeros = apart_ ? round_up(x_.a.run) : 0;
    const int64_t copy = apart_ && !varies_within_runs_ ? 0 : block * x_.k;
    auto* memory =
        reinterpret_cast<Sum*>(scratch(ScratchUse::Panels, (sums + panel + starts + zeros + copy) *
                                                               static_cast<int64_t>(sizeof(Sum))));
    sums_ = memory;
    panel_ = sums_ + sums;
    starts_ = panel_ + panel;
    zeros_ = starts_ + starts;
    copy_ = zeros_ + zeros;
    std::fill_n(zeros_, zeros, Sum{0});
    pack_columns_ =
        kWidens || x_.b.along != 1 || !x_.b_there.empty() || !x_.b.runs.empty() ||
        (rows >= kRowsWorthPacking * x_.table->gemm_rows && x_.b.step != x_.table->gemm_width);
    for (size_t i = 0; i < x_.plan.k.par.size(); ++i) run_.symbols()[i] = low[i];
    do {
      matrices(rows);
    } while (next_outer());
  }

 private:
  static int64_t round_up(int64_t n) { return (n + 15) / 16 * 16; }

  // Whether A is read where it lies, run by run, for it serves too few columns to be copied.
  bool rows_lie_apart(int64_t columns) const {
    if constexpr (kWidens) return false;
    return !x_.a.runs.empty() && x_.a.step == 1 && x_.k <= k_block_ &&
           columns <= kColumnsWorthCopying * width_;
  }

  // Advances the ivs that are neither m nor n nor panels.
  bool next_outer() {
    for (int i = static_cast<int>(x_.plan.k.par.size()); i-- > 0;) {
      if (i == x_.m || i == x_.n || i == x_.panels) continue;
      if (++run_.symbols()[i] < high_[i]) return true;
      run_.symbols()[i] = low_[i];
    }
    return false;
  }

  // At row or column 0 of the range and k = 0.
  int64_t origin(const IndexExpr& e) {
    if (x_.m >= 0) run_.symbols()[x_.m] = low_[x_.m];
    run_.symbols()[x_.n] = low_[x_.n];
    return index_at(x_.plan.k, e, run_.symbols());
  }
  const T* origin(const Matrix& x) {
    return static_cast<const T*>(args_[x.operand]) + origin(x.offset);
  }

  void matrices(int64_t rows) {
    const T* a = origin(x_.a);
    for (size_t g = 0; g < x_.guards.size(); ++g)
      guard_origins_[g] = origin(x_.guards[g].guard.index);
    const int64_t columns = high_[x_.n] - low_[x_.n];
    const int64_t first = x_.panels >= 0 ? low_[x_.panels] : 0;
    const int64_t last = x_.panels >= 0 ? high_[x_.panels] : 1;
    const bool joins = rows == 1 && last - first > 1 && columns <= chunk_ && chunk_ != kRowChunk;
    for (int64_t m = 0; m < rows; m += block_) {
      const RowTiles tiles{std::min(block_, rows - m), x_.table->gemm_rows};
      const Rows block = arrange(a, m, tiles, (last - first) * columns);
      if (joins) {
        panels(block, first, last, columns);
        break;
      }
      for (int64_t p = first; p < last; ++p) {
        if (x_.panels >= 0) run_.symbols()[x_.panels] = p;
        panel(block, m, tiles, origin(x_.b), columns, (p - first) * per_panel_);
      }
    }
    if (x_.panels >= 0) run_.symbols()[x_.panels] = first;
  }

  // One row: panels are finished together, as rows are.
  void panels(const Rows& block, int64_t first, int64_t last, int64_t columns) {
    const RowTiles one{1, 1};
    const int64_t group = std::max<int64_t>(chunk_ / columns, 1);
    row_ = columns;
    if (x_.m >= 0) run_.symbols()[x_.m] = low_[x_.m];
    for (int64_t p = first; p < last; p += group) {
      const int64_t count = std::min(group, last - p);
      for (int64_t i = 0; i < count; ++i) {
        run_.symbols()[x_.panels] = p + i;
        const T* b = origin(x_.b);
        for (int64_t k = 0; k < x_.k; k += k_block_)
          multiply(block, one, b, columns, k, std::min(k_block_, x_.k - k),
                   (p + i - first) * per_panel_, sums_ + i * columns);
      }
      run_.symbols()[x_.n] = low_[x_.n];
      run_.finish_rows(x_.panels, p, count, low_[x_.n], columns, sums_);
    }
    run_.symbols()[x_.panels] = first;
  }

  // Rows m and on, all columns of one panel; `place`: of its first columns among those kept.
  void panel(const Rows& block, int64_t m, const RowTiles& tiles, const T* b, int64_t columns,
             int64_t place) {
    for (int64_t n = 0; n < columns; n += chunk_) {
      const int64_t count = std::min(chunk_, columns - n);
      // Rows follow each other where no tile reaches beyond the last column, or only into the row
      // that is written next.
      row_ = count % width_ == 0 || (count < width_ && x_.k <= k_block_) ? count : chunk_;
      for (int64_t k = 0; k < x_.k; k += k_block_)
        multiply(block, tiles, b + n * x_.b.along, count, k, std::min(k_block_, x_.k - k),
                 place + n / width_, sums_);
      if (x_.m >= 0 && row_ == count) {
        run_.finish_rows(x_.m, low_[x_.m] + m, tiles.rows, low_[x_.n] + n, count, sums_);
        continue;
      }
      for (int64_t r = 0; r < tiles.rows; ++r) {
        if (x_.m >= 0) run_.symbols()[x_.m] = low_[x_.m] + m + r;
        run_.row();
        for (int64_t j = 0; j < count; j += finish_)
          run_.finish_tile(low_[x_.n] + n + j, std::min(finish_, count - j), sums_ + r * row_ + j);
      }
    }
  }

  // Rows m and on are read where they lie, unless k is not contiguous, some of it is zero, or the
  // rows' distance makes them compete for the same sets of the cache.
  Rows arrange(const T* a, int64_t m, const RowTiles& tiles, int64_t columns) {
    const Matrix& x = x_.a;
    if constexpr (kWidens) {
      pack_by_k(a, m, tiles, 0, tiles.count());
      return {copy_, 0, 0, true};
    } else {
      return arrange_floats(x, a, m, tiles, columns);
    }
  }
  Rows arrange_floats(const Matrix& x, const float* a, int64_t m, const RowTiles& tiles,
                      int64_t columns) {
    const bool strided = x.step != 1 && columns >= 4 * width_ && tiles.rows > 1;
    const bool competing = x.step == 1 && x.along % 256 == 0 && x_.k >= 768 && tiles.rows > 4;
    if (x.runs.empty() && !strided && !competing) return {a + m * x.along, x.along, x.step, false};
    if (apart_) return find_rows(a, m, tiles);
    if (varies_within_runs_) {
      pack_by_k(a, m, tiles, 0, tiles.count());
      return {copy_, 0, 0, true};
    }
    for (int64_t t = 0; t < tiles.count(); ++t) {
      const int64_t first = tiles.begin(t), rows = tiles.begin(t + 1) - first;
      for (int64_t k = 0; k < x_.k; k += x.run)
        pack_run(copy_ + first * x_.k + k * rows, a, m + first, rows, k / x.run);
    }
    return {copy_, 0, 0, true};
  }

  // Where each run of each row begins. A tile of which guards leave out single elements of a run is
  // copied: its entries are null.
  Rows find_rows(const float* a, int64_t m, const RowTiles& tiles) {
    const Matrix& x = x_.a;
    auto* const starts = reinterpret_cast<const float**>(starts_);
    const float** to = starts;
    for (int64_t t = 0; t < tiles.count(); ++t) {
      const int64_t first = tiles.begin(t), end = tiles.begin(t + 1);
      const bool whole = has_all(m + first, m + end - 1);
      if (!whole && varies_within_runs_) {
        *to = nullptr;
        pack_by_k(a, m, tiles, t, t + 1);
        to += (end - first) * std::ssize(x.runs);
        continue;
      }
      for (size_t run = 0; run < x.runs.size(); ++run) {
        const float* from = a + x.runs[run] + m * x.along;
        for (int64_t r = first; r < end; ++r)
          *to++ = whole || has(m + r, static_cast<int64_t>(run), 0) ? from + r * x.along : zeros_;
      }
    }
    return {copy_, 0, 1, true, starts};
  }

  // Whether A has every element of rows [first, last] of the range.
  bool has_all(int64_t first, int64_t last) const {
    for (size_t g = 0; g < x_.guards.size(); ++g) {
      const RowGuard& guard = x_.guards[g];
      const int64_t a = guard_origins_[g] + first * guard.along;
      const int64_t b = guard_origins_[g] + last * guard.along;
      if (guard.guard.multiple_of != 1 || std::min(a, b) + guard.least < 0 ||
          std::max(a, b) + guard.most >= guard.guard.limit)
        return false;
    }
    return true;
  }

  // to[k of the run][rows]
  void pack_run(float* to, const float* a, int64_t row, int64_t rows, int64_t run) {
    const Matrix& x = x_.a;
    const float* from = a + (x.runs.empty() ? 0 : x.runs[static_cast<size_t>(run)]) + row * x.along;
    for (int64_t r = 0, end; r < rows; r = end) {
      const bool there = has(row + r, run, 0);
      for (end = r + 1; end < rows && has(row + end, run, 0) == there;) ++end;
      if (there && x.step == 1) {
        pack_transposed(to + r, from + r * x.along, x.along, end - r, x.run, rows);
        continue;
      }
      for (int64_t i = 0; i < x.run; ++i)
        for (int64_t q = r; q < end; ++q)
          to[i * rows + q] = there ? from[q * x.along + i * x.step] : 0.0f;
    }
  }

  // Where guards differ from k to k within a run: which rows have an element is decided for all of
  // the tiles [from_tile, to_tile) at once.
  void pack_by_k(const T* a, int64_t m, const RowTiles& tiles, int64_t from_tile, int64_t to_tile) {
    const Matrix& x = x_.a;
    const auto fill = static_cast<Sum>(x_.fill);
    for (int64_t k = 0; k < x_.k; ++k) {
      int64_t begin = tiles.begin(from_tile), end = tiles.begin(to_tile);
      const int64_t run = k / x.run, i = k % x.run;
      if (all_intervals_) {
        rows_with(m, run, i, &begin, &end);
      } else {
        while (begin < end && !has(m + begin, run, i)) ++begin;
        while (end > begin && !has(m + end - 1, run, i)) --end;
      }
      const T* from = a + k_offset(x, k) + m * x.along;
      for (int64_t t = from_tile; t < to_tile; ++t) {
        const int64_t first = tiles.begin(t), rows = tiles.begin(t + 1) - first;
        Sum* to = copy_ + first * x_.k + k * rows;
        const int64_t low = std::clamp<int64_t>(begin - first, 0, rows);
        const int64_t high = std::clamp<int64_t>(end - first, low, rows);
        std::fill(to, to + low, fill);
        for (int64_t r = low; r < high; ++r) to[r] = widened(from[(first + r) * x.along], x);
        std::fill(to + high, to + rows, fill);
        for (int64_t r = low; !all_intervals_ && r < high; ++r)
          if (!has(m + first + r, run, i)) to[r] = fill;
      }
    }
  }

  // Leaves of rows [m + begin, m + end) those that have an element at the i-th k of a run, where
  // these are neighbours.
  void rows_with(int64_t m, int64_t run, int64_t i, int64_t* begin, int64_t* end) const {
    for (size_t g = 0; g < x_.guards.size(); ++g) {
      const RowGuard& guard = x_.guards[g];
      const int64_t at = guard_origins_[g] + m * guard.along + i * guard.step +
                         guard.runs[static_cast<size_t>(run)];
      narrow(guard.guard, at, guard.along, begin, end);
    }
    *end = std::max(*end, *begin);
  }

  // Whether A has an element in this row of the range, at the i-th k of a run.
  bool has(int64_t row, int64_t run, int64_t i) const {
    for (size_t g = 0; g < x_.guards.size(); ++g) {
      const RowGuard& guard = x_.guards[g];
      const int64_t at = guard_origins_[g] + row * guard.along + i * guard.step +
                         guard.runs[static_cast<size_t>(run)];
      if (!holds(guard.guard, at)) return false;
    }
    return true;
  }

  // Columns of B as register tiles read them; `place`: where they stay for the rest of the call, if
  // panels do.
  const Sum* packed(const T* from, int64_t columns, int64_t k0, int64_t k, int64_t place) {
    Sum* to = panel_;
    if (keeps_panels_) {
      to += place * k_block_ * width_;
      const T*& there = packed_[static_cast<size_t>(place)];
      if (there == from) return to;
      there = from;
    }
    pack_panel(to, from, x_.b, x_.b_there, columns, k0, k, width_);
    return to;
  }

  // sums[rows][count], row_ apart, (+)= the products of k in [k0, k0 + k).
  void multiply(const Rows& a, const RowTiles& tiles, const T* b, int64_t count, int64_t k0,
                int64_t k, int64_t place, Sum* sums) {
    const FlushScope scope(x_.flush);
    GemmTile<Sum> t;
    t.k = k;
    t.c_row = row_;
    t.accumulate = k0 > 0;
    if constexpr (!kWidens)
      if (chunk_ == kRowChunk) {
        t.a_step = a.packed ? 1 : a.step;
        t.a = a.data + k0 * t.a_step;
        t.b = b + k0 * x_.b.step;
        t.b_step = x_.b.step;
        t.c = sums;
        return x_.table->gemm_row(t, count);
      }
    for (int64_t n = 0; n < count; n += width_, ++place) {
      const T* from = b + n * x_.b.along;
      const bool narrow = count - n <= width_ / 2, partial = count - n < width_;
      if (kWidens || pack_columns_ || (partial && !reads_past(from, count - n, k0, k))) {
        t.b = packed(from, std::min(width_, count - n), k0, k, place);
        t.b_step = width_;
      } else if constexpr (!kWidens) {
        t.b = from + k0 * x_.b.step;
        t.b_step = x_.b.step;
      }
      for (int64_t i = 0; i < tiles.count(); ++i) {
        const int64_t first = tiles.begin(i), rows = tiles.begin(i + 1) - first;
        t.c = sums + first * row_ + n;
        if constexpr (!kWidens)
          if (const auto* starts = starts_of(a, first); starts != nullptr) {
            const GemmRunsTable& of = x_.table->gemm_runs;
            t.k = x_.a.run, t.a_step = 1;
            (narrow ? of.narrow : of.wide)[rows]({t, starts, std::ssize(x_.a.runs)});
            t.k = k;
            continue;
          }
        t.a = a.packed ? a.data + first * x_.k + k0 * rows : a.data + first * a.row + k0 * a.step;
        t.a_row = a.packed ? 1 : a.row;
        t.a_step = a.packed ? rows : a.step;
        (narrow ? tiles_of_.narrow : tiles_of_.wide)[rows](t);
      }
    }
  }

  // Of the tile that begins with row `first`, if its runs are found by them.
  const Sum* const* starts_of(const Rows& a, int64_t first) const {
    if (a.starts == nullptr) return nullptr;
    const Sum* const* of = a.starts + first * std::ssize(x_.a.runs);
    return *of != nullptr ? of : nullptr;
  }

  // Whether whole tiles of B may be read at `from` although `columns` are fewer: past the last
  // column, but not past the operand.
  bool reads_past(const T* from, int64_t columns, int64_t k0, int64_t k) const {
    const Operand& of = x_.plan.k.operands[static_cast<size_t>(x_.b.operand)];
    const T* last = from + (k0 + k - 1) * x_.b.step + (columns <= width_ / 2 ? width_ / 2 : width_);
    return x_.b.step >= 0 && last <= static_cast<const T*>(args_[x_.b.operand]) + of.size;
  }

  static const GemmTable<Sum>& tiles_of(const Table& table) {
    if constexpr (std::is_same_v<Sum, float>) return table.gemm_f32;
    else return table.gemm_i32;
  }

  const Contraction& x_;
  const GemmTable<Sum>& tiles_of_;
  Run run_;
  void* const* args_;
  int64_t width_, chunk_ = 0, row_ = 0, finish_ = 0, block_ = 0, k_block_ = 0;
  const int64_t *low_ = nullptr, *high_ = nullptr;
  bool pack_columns_ = false, varies_within_runs_ = false, all_intervals_ = true;
  std::vector<int64_t> guard_origins_;
  Sum *sums_ = nullptr, *panel_ = nullptr, *copy_ = nullptr;
  Sum *starts_ = nullptr, *zeros_ = nullptr;
  // Panels of B, by place: what is there, if they are kept.
  std::vector<const T*> packed_;
  int64_t per_panel_ = 1;
  bool keeps_panels_ = false, apart_ = false;
};

template <class T>
void run_of(void* const* args, int64_t begin, int64_t end, const void* context) {
  const auto& x = *static_cast<const Contraction*>(context);
  int64_t low[kMaxIvs], high[kMaxIvs];
  if (plan_range(x.plan, begin, end, low, high)) Multiply<T>(x, args).range(low, high);
}

}  // namespace

void run_contraction(void* const* args, int64_t begin, int64_t end, const void* context) {
  run_of<float>(args, begin, end, context);
}
void run_bf16_contraction(void* const* args, int64_t begin, int64_t end, const void* context) {
  run_of<BFloat16>(args, begin, end, context);
}
void run_byte_contraction(void* const* args, int64_t begin, int64_t end, const void* context) {
  run_of<uint8_t>(args, begin, end, context);
}

}  // namespace lathe::simd
