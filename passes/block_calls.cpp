#include "passes/block_calls.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "passes/kernel_part.h"
#include "passes/kernel_passes.h"
#include "passes/program_use.h"
#include "passes/row_run.h"

namespace lathe {
namespace {

constexpr int64_t kBlocks = 16;  // at least, so that threads get even shares

int64_t largest_divisor(int64_t n, int64_t most) {
  for (int64_t d = std::min(n, most); d > 1; --d)
    if (n % d == 0) return d;
  return 1;
}

class Blocking {
 public:
  Blocking(Program& p, const Target& target) : p_(p), target_(target) {}

  void run() {
    visit(p_.plan.steps);
    drop_unused(p_);
  }

 private:
  // Loops over all blocks, outermost first, the last one over `each` rows at a time; `rest` rows
  // are left after all of them.
  struct Blocks {
    Dims counts;
    int64_t each = 1, rest = 0;
  };

  // What the rows of a block take of L2 at a time. Less is slower where memory is read, which is
  // prefetched anew for each block; more is slower where temporaries would fit into L1.
  int64_t block_bytes() const { return target_.l2_bytes / 8; }

  // What is independent has small temporaries already.
  void visit(std::vector<Step>& steps) {
    for (Step& s : steps)
      if (!s.independent) visit(s.body), visit(s.other);
    for (size_t i = 0; i < steps.size(); ++i)
      if (const auto run = find_row_run(p_, steps, i, block_bytes()); run && pays(*run))
        replace(steps, *run);
  }

  // Buffers of which nothing is left to others.
  std::set<int> temporaries(const RowRun& run) const {
    std::set<int> out;
    for (const auto& [buffer, use] : run.uses)
      if (p_.plan.buffers[static_cast<size_t>(buffer)].kind == BufferKind::Arena &&
          use.written_first && use.at.offset == 0 && use.at.terms.empty() &&
          mentions(p_.plan.steps, buffer) == use.touches)
        out.insert(buffer);
    return out;
  }

  // Hardware prefetches what kernels read again, from memory too, about as fast as they work on it:
  // it pays where a good part of what they touch does not have to be written.
  bool pays(const RowRun& run) const {
    if (run.calls.size() < 2 || run.rows() < kBlocks) return false;
    const std::set<int> inside = temporaries(run);
    int64_t shared = 0, once = 0, gone = 0;  // bytes of a row
    for (const auto& [buffer, use] : run.uses) {
      (use.steps.back() == 0 ? shared : once) += use.reach;
      if (inside.contains(buffer)) gone += use.reach;
    }
    return once * run.rows() > target_.l2_bytes && 4 * gone >= once && 2 * shared <= block_bytes();
  }

  Blocks blocks(const RowRun& run) const {
    Blocks b{.counts = run.counts};
    int64_t rows = std::clamp<int64_t>(block_bytes() / run.live_bytes(), 1, run.rows() / kBlocks);
    for (; b.counts.size() > 1 && rows >= b.counts.back(); b.counts.pop_back())
      rows /= b.counts.back();
    int64_t& last = b.counts.back();
    b.each = largest_divisor(last, rows);
    if (b.counts.size() == 1 && 2 * b.each < rows) b.each = rows, b.rest = last % rows;
    last /= b.each;
    return b;
  }

  void replace(std::vector<Step>& steps, const RowRun& run) {
    const Blocks b = blocks(run);
    Dims counts = b.counts;  // of loops over single rows
    counts.back() = counts.back() * b.each + b.rest;
    std::vector<int> loops;
    for (size_t l = 0; l < counts.size(); ++l) loops.push_back(p_.plan.loops++);
    const std::set<int> inside = temporaries(run);
    std::vector<Step> block, rest;
    std::map<int, int> of_rest;  // its own temporaries
    for (size_t c = 0; c < run.calls.size(); ++c) {
      const size_t i = run.calls[c];
      const KernelRow row = *row_of(p_.kernel_of(steps[i]), counts);
      const int fetched = read_again(run, c, steps[i]);
      block.push_back(call_block(steps[i], row, b.each, fetched, inside, loops));
      if (b.rest > 0) rest.push_back(call_rest(steps[i], row, b, inside, of_rest));
    }
    for (size_t l = loops.size(); l-- > 0;) {
      Step loop;
      loop.kind = StepKind::Loop;
      loop.loop = loops[l], loop.count = b.counts[l], loop.independent = true;
      loop.body = std::exchange(block, {});
      block.push_back(std::move(loop));
    }
    std::ranges::move(rest, std::back_inserter(block));
    for (const size_t i : run.skipped) block.push_back(std::move(steps[i]));
    const auto first = steps.begin() + static_cast<int64_t>(run.calls.front());
    const auto end = steps.begin() + static_cast<int64_t>(run.calls.back()) + 1;
    steps.insert(steps.erase(first, end), std::make_move_iterator(block.begin()),
                 std::make_move_iterator(block.end()));
  }

  // The operand that call `c` is the last to read, after others did: it finds this block in cache,
  // and has time to fetch the next one, which else the first call waits for. -1: none.
  int read_again(const RowRun& run, size_t c, const Step& call) const {
    if (p_.kernel_of(call).core != Core::Map) return -1;
    for (size_t a = 0; a < call.args.size(); ++a) {
      const RowUse& use = run.uses.at(call.args[a].buffer);
      if (!use.written && !use.shared() && use.first < c && use.last == c)
        return static_cast<int>(a);
    }
    return -1;
  }

  Step call_block(Step call, const KernelRow& row, int64_t each, int fetched,
                  const std::set<int>& inside, const std::vector<int>& loops) {
    call.kernel = part(call.kernel, row, each, fetched);
    for (size_t a = 0; a < call.args.size(); ++a) {
      BufferRef& r = call.args[a];
      const std::vector<int64_t>& steps = row.steps[a];
      if (inside.contains(r.buffer)) {
        p_.plan.buffers[static_cast<size_t>(r.buffer)].bytes = each * steps.back();
        continue;
      }
      for (size_t l = 0; l < loops.size(); ++l)
        if (steps[l] != 0)
          r.terms.push_back({loops[l], steps[l] * (l + 1 == loops.size() ? each : 1), false});
    }
    return call;
  }

  Step call_rest(Step call, const KernelRow& row, const Blocks& b, const std::set<int>& inside,
                 std::map<int, int>& own) {
    call.kernel = part(call.kernel, row, b.rest, -1);
    for (size_t a = 0; a < call.args.size(); ++a) {
      BufferRef& r = call.args[a];
      const int64_t step = row.steps[a][0];
      r.offset += step * b.each * b.counts[0];
      if (!inside.contains(r.buffer)) continue;
      std::vector<Buffer>& buffers = p_.plan.buffers;
      const auto [at, is_new] = own.try_emplace(r.buffer, static_cast<int>(buffers.size()));
      if (is_new) {
        Buffer rest = buffers[static_cast<size_t>(r.buffer)];
        rest.bytes = b.rest * step;
        buffers.push_back(std::move(rest));
      }
      r = {at->second, 0, {}};
    }
    return call;
  }

  // The kernel over so many rows, which brings as many of operand `fetched` after them into cache.
  int part(int kernel, const KernelRow& row, int64_t rows, int fetched) {
    Dims extents = row.extents;
    extents[static_cast<size_t>(row.iv)] *= rows;
    const auto [known, is_new] = parts_.try_emplace({kernel, extents, fetched}, -1);
    if (!is_new) return known->second;
    Kernel k = p_.kernels[static_cast<size_t>(kernel)];
    for (size_t iv = extents.size(); iv-- > 0;)
      if (extents[iv] != k.par[iv])
        k = first_values(std::move(k), static_cast<SymbolId>(iv), extents[iv]);
    canonicalize_parallel(k);
    KernelSchedule schedule = choose_schedule(k, target_);
    schedule.parallel = -1, schedule.grain = 1;  // the loop has the threads
    if (fetched >= 0)
      schedule.fetch = fetched,
      schedule.ahead = rows * row.steps[static_cast<size_t>(fetched)].back();
    return known->second = p_.add(std::move(k), schedule);
  }

  Program& p_;
  const Target& target_;
  std::map<std::tuple<int, Dims, int>, int> parts_;  // kernels of blocks
};

}  // namespace

void block_calls(Program& p, const Target& target) { Blocking(p, target).run(); }

}  // namespace lathe
