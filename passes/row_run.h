// Runs: calls of kernels that can be made row by row, each row through all of them.
#pragma once

#include <map>
#include <optional>
#include <span>

#include "ir/program.h"

namespace lathe {

// A kernel at one row. The rows are the points of nested loops, `counts` times each, outermost
// first, and lie in that order in the kernel's leading parallel ivs.
struct KernelRow {
  Dims extents;                             // of the parallel ivs
  SymbolId iv = -1;                         // that the innermost loop walks
  std::vector<std::vector<int64_t>> steps;  // bytes between rows, by operand, then by loop
};
// Nothing where the kernel cannot be cut so.
std::optional<KernelRow> row_of(const Kernel& k, std::span<const int64_t> counts);

// What the calls of a run make of one buffer.
struct RowUse {
  BufferRef at;                // of the first touch
  std::vector<int64_t> steps;  // bytes between rows, by loop
  int64_t reach = 0;           // bytes of a row
  int touches = 0;
  size_t first = 0, last = 0;  // of the calls that touch it
  bool written = false, written_first = false;
  bool mixed = false;  // touched at several rows at a time

  bool shared() const;  // all values of some loop have one row
};

struct RowRun {
  std::vector<size_t> calls;    // places in their list of steps, ascending
  std::vector<size_t> skipped;  // steps between them, which can all come after the last
  Dims counts;                  // loops over rows, as in KernelRow
  std::map<int, RowUse> uses;   // by buffer

  int64_t rows() const;
  // What a row takes of a cache at most, without what rows share.
  int64_t live_bytes() const;
};

// The longest run of which steps[begin] is the first call: whatever one of its calls writes, all of
// them touch at the same row alone. Nothing where rows live in more than `most` bytes.
std::optional<RowRun> find_row_run(const Program& p, const std::vector<Step>& steps, size_t begin,
                                   int64_t most);

}  // namespace lathe
