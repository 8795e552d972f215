#include "passes/block_calls.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <set>
#include <span>
#include <tuple>

#include "passes/kernel_part.h"
#include "passes/kernel_passes.h"
#include "passes/program_use.h"

namespace lathe {
namespace {

constexpr size_t kMostCalls = 48;    // of a run
constexpr size_t kMostSkipped = 16;  // steps that calls of a run are moved before
constexpr int64_t kBlocks = 16;      // at least, so that threads get even shares

int64_t product(std::span<const int64_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), int64_t{1}, std::multiplies<>());
}

int64_t largest_divisor(int64_t n, int64_t most) {
  for (int64_t d = std::min(n, most); d > 1; --d)
    if (n % d == 0) return d;
  return 1;
}

// A kernel's points at one row. The rows are the points of nested loops, `counts` each, outermost
// first, and lie in that order in the kernel's leading parallel ivs.
struct Row {
  Dims extents;                             // of the parallel ivs
  SymbolId iv = -1;                         // that the innermost loop walks
  std::vector<std::vector<int64_t>> steps;  // bytes by operand, then by loop
  std::vector<int64_t> reach;               // bytes by operand
};

std::optional<Row> row_of(const Kernel& k, std::span<const int64_t> counts) {
  Row row;
  row.extents = k.par;
  row.steps.resize(k.operands.size());
  size_t iv = 0;
  for (const int64_t count : counts) {
    while (iv < row.extents.size() && row.extents[iv] == 1) ++iv;
    if (iv == row.extents.size() || row.extents[iv] % count != 0) return std::nullopt;
    row.iv = static_cast<SymbolId>(iv);
    row.extents[iv] /= count;
    const auto along = steps_along(k, row.iv);
    if (!along) return std::nullopt;
    for (size_t i = 0; i < along->size(); ++i)
      row.steps[i].push_back((*along)[i] * row.extents[iv] * byte_size(k.operands[i].dtype));
  }
  return row;
}

// Whether each operand's rows lie one after another, or are the same for all values of a loop;
// `row.reach` then says how far each goes.
bool rows_lie_apart(const Kernel& k, std::span<const int64_t> counts, Row& row) {
  row.reach.assign(k.operands.size(), 0);
  const auto see = [&](const Access& a) {
    if (a.offset.constant < 0 || !a.indirect.empty()) return false;
    int64_t last = a.offset.constant;
    for (const IndexTerm& t : a.offset.terms) {
      if (t.coefficient < 0 || t.symbol >= k.derived_symbol(0)) return false;
      const auto s = static_cast<size_t>(t.symbol);
      const int64_t extent = s < k.par.size() ? row.extents[s] : k.red[s - k.par.size()];
      last += t.coefficient * (extent - 1);
    }
    const auto operand = static_cast<size_t>(a.operand);
    row.reach[operand] =
        std::max(row.reach[operand], (last + 1) * byte_size(k.operands[operand].dtype));
    return true;
  };
  for (const Instr& in : k.body)
    if (in.op == Scalar::Load && !see(in.access)) return false;
  for (const Store& s : k.stores)
    if (!see(s.access)) return false;
  for (size_t i = 0; i < k.operands.size(); ++i) {
    int64_t span = row.reach[i];
    for (size_t l = counts.size(); l-- > 0;) {
      const int64_t step = row.steps[i][l];
      if (step == 0) continue;
      if (step < span) return false;
      span += step * (counts[l] - 1);
    }
  }
  return true;
}

bool same_place(const BufferRef& a, const BufferRef& b) {
  const auto same_term = [](const LoopTerm& x, const LoopTerm& y) {
    return x.loop == y.loop && x.stride == y.stride && x.parity == y.parity;
  };
  return a.offset == b.offset && std::ranges::equal(a.terms, b.terms, same_term);
}

// What the calls of a run make of one buffer.
struct Use {
  const BufferRef* at = nullptr;
  std::vector<int64_t> steps;
  int64_t reach = 0;
  int touches = 0;
  size_t first = 0, last = 0;  // of the calls that touch it
  bool written = false, written_first = false;
  bool mixed = false;  // touched at different rows at a time

  bool shared() const { return std::ranges::find(steps, 0) != steps.end(); }
};
using Uses = std::map<int, Use>;

class Blocking {
 public:
  Blocking(Program& p, const Target& target) : p_(p), target_(target) {}

  void run() {
    visit(p_.plan.steps);
    drop_unused(p_);
  }

 private:
  // Calls that can be made row by row, and steps between them that they can all come before.
  struct Run {
    std::vector<size_t> calls, skipped;  // ascending
    Dims counts;
    Uses uses;
  };

  const Kernel& kernel(const Step& call) const {
    return p_.kernels[static_cast<size_t>(call.kernel)];
  }

  void visit(std::vector<Step>& steps) {
    for (Step& s : steps)
      if (!s.independent) visit(s.body), visit(s.other);
    for (size_t i = 0; i < steps.size(); ++i)
      if (const std::optional<Run> r = find_run(steps, i)) replace(steps, *r);
  }

  // Matrix products share a factor between rows, and have tiles of their own.
  bool has_rows(const Step& s) const {
    if (s.kind != StepKind::Call) return false;
    const Kernel& k = kernel(s);
    if (k.par.empty() || k.core == Core::Scatter || k.steps() == 0) return false;
    return k.order == Order::Lanes ||
           std::ranges::none_of(k.reductions, [](const Reduction& r) { return is_fma(r.combine); });
  }

  std::optional<Run> find_run(const std::vector<Step>& steps, size_t begin) const {
    if (!has_rows(steps[begin])) return std::nullopt;
    std::optional<Run> run = with_rows(steps, {begin});
    if (!run) return std::nullopt;
    std::vector<size_t> skipped;
    for (size_t i = begin + 1; i < steps.size() && run->calls.size() < kMostCalls; ++i) {
      if (auto longer = join(steps, *run, skipped, i)) run = std::move(longer);
      else skipped.push_back(i);
      if (skipped.size() > kMostSkipped) break;
    }
    if (!pays(*run)) return std::nullopt;
    std::erase_if(skipped, [&](size_t i) { return i > run->calls.back(); });
    run->skipped = std::move(skipped);
    return run;
  }

  std::optional<Run> join(const std::vector<Step>& steps, const Run& run,
                          const std::vector<size_t>& skipped, size_t at) const {
    const Step& s = steps[at];
    if (!has_rows(s)) return std::nullopt;
    const bool together = std::ranges::any_of(s.args, [&](const BufferRef& r) {
      const auto use = run.uses.find(r.buffer);
      return use != run.uses.end() && !use->second.shared();
    });
    if (!together || std::ranges::any_of(skipped, [&](size_t i) {
          return depends(p_, s, steps[i]);
        }))
      return std::nullopt;
    std::vector<size_t> calls = run.calls;
    calls.push_back(at);
    std::optional<Run> longer = with_rows(steps, std::move(calls));
    if (longer && row_bytes(*longer) > block_bytes()) return std::nullopt;
    return longer;
  }

  // The smallest rows that the calls agree on.
  std::optional<Run> with_rows(const std::vector<Step>& steps, std::vector<size_t> calls) const {
    std::set<int64_t> bounds;  // where ivs of a kernel end, in points from the outermost
    int64_t most = 0;
    for (const size_t i : calls) {
      int64_t points = 1;
      for (const int64_t extent : kernel(steps[i]).par) bounds.insert(points *= extent);
      most = std::gcd(most, points);
    }
    bounds.insert(most);
    for (auto rows = bounds.upper_bound(most); rows != bounds.begin();) {
      --rows;
      if (*rows == 1 || most % *rows != 0) continue;
      Run run;
      run.calls = calls;
      int64_t outer = 1;
      for (auto b = bounds.begin(); b != std::next(rows) && outer > 0; ++b) {
        if (*b == 1) continue;
        run.counts.push_back(*b / outer);
        outer = *b % outer == 0 ? *b : 0;
      }
      if (outer > 0 && find_uses(steps, run)) return run;
    }
    return std::nullopt;
  }

  // False where a call does not have these rows, or needs what others leave at another row.
  bool find_uses(const std::vector<Step>& steps, Run& run) const {
    for (size_t c = 0; c < run.calls.size(); ++c) {
      const size_t i = run.calls[c];
      const Kernel& k = kernel(steps[i]);
      std::optional<Row> row = row_of(k, run.counts);
      if (!row || !rows_lie_apart(k, run.counts, *row)) return false;
      for (size_t a = 0; a < k.operands.size(); ++a) {
        const BufferRef& at = steps[i].args[a];
        Use& use = run.uses[at.buffer];
        const bool out = k.operands[a].role != OperandRole::In;
        use.last = c;
        if (!use.at) {
          use.at = &at, use.steps = row->steps[a], use.first = c;
          use.written_first = k.operands[a].role == OperandRole::Out;
        }
        use.mixed = use.mixed || use.steps != row->steps[a] || !same_place(*use.at, at);
        use.reach = std::max(use.reach, row->reach[a]);
        use.written = use.written || out;
        ++use.touches;
      }
    }
    return std::ranges::none_of(run.uses, [](const auto& u) {
      return u.second.written && (u.second.mixed || u.second.shared());
    });
  }

  // What a row takes of the cache at most.
  static int64_t row_bytes(const Run& run) {
    int64_t most = 0;
    for (size_t c = 0; c < run.calls.size(); ++c) {
      int64_t n = 0;
      for (const auto& [buffer, use] : run.uses)
        if (use.steps.back() != 0 && use.first <= c && c <= use.last) n += use.reach;
      most = std::max(most, n);
    }
    return most;
  }

  int64_t block_bytes() const { return target_.l2_bytes / 8; }

  // What is read again comes from L3 as fast as it is worked on; what is written there and read
  // back does not, nor does what memory holds.
  bool pays(const Run& run) const {
    if (run.calls.size() < 2) return false;
    const std::set<int> inside = temporaries(run);
    int64_t shared = 0, once = 0, gone = 0, again = 0;
    for (const auto& [buffer, use] : run.uses) {
      if (use.steps.back() == 0) {
        shared += use.reach;
        continue;
      }
      once += use.reach, again += (use.touches - 1) * use.reach;
      if (inside.contains(buffer)) gone += use.reach;
    }
    const int64_t enough = 4 * gone >= once ? target_.l2_bytes : target_.l3_bytes;
    return once * product(run.counts) > enough && 4 * again >= once &&
           row_bytes(run) <= block_bytes() && 2 * shared <= block_bytes();
  }

  // Loops over all blocks, outermost first: the last one over `each` rows at a time, with `rest`
  // rows left.
  struct Blocks {
    Dims counts;
    int64_t each = 1, rest = 0;
  };

  Blocks blocks(const Run& run) const {
    Blocks b{.counts = run.counts};
    int64_t rows = std::max<int64_t>(
        1, std::min(block_bytes() / row_bytes(run), product(run.counts) / kBlocks));
    while (b.counts.size() > 1 && rows >= b.counts.back()) {
      rows /= b.counts.back();
      b.counts.pop_back();
    }
    int64_t& last = b.counts.back();
    b.each = largest_divisor(last, rows);
    if (b.counts.size() == 1 && 2 * b.each < rows) b.each = rows, b.rest = last % rows;
    last /= b.each;
    return b;
  }

  void replace(std::vector<Step>& steps, const Run& run) {
    const Blocks b = blocks(run);
    Dims counts = b.counts;
    counts.back() = counts.back() * b.each + b.rest;
    std::vector<int> loops;
    for (size_t i = 0; i < counts.size(); ++i) loops.push_back(p_.plan.loops++);
    const std::set<int> inside = temporaries(run);
    std::vector<Step> body, rest;
    std::map<int, int> of_rest;  // temporaries
    for (const size_t i : run.calls) {
      const Row row = *row_of(kernel(steps[i]), counts);
      Step call = steps[i];
      call.kernel = part(steps[i].kernel, row, b.each);
      for (size_t a = 0; a < call.args.size(); ++a) {
        BufferRef& r = call.args[a];
        if (inside.contains(r.buffer)) {
          p_.plan.buffers[static_cast<size_t>(r.buffer)].bytes = b.each * row.steps[a].back();
          continue;
        }
        for (size_t l = 0; l < loops.size(); ++l)
          if (const int64_t step = row.steps[a][l] * (l + 1 == loops.size() ? b.each : 1))
            r.terms.push_back({loops[l], step, false});
      }
      body.push_back(std::move(call));
      if (b.rest == 0) continue;
      call = steps[i];
      call.kernel = part(steps[i].kernel, row, b.rest);
      for (size_t a = 0; a < call.args.size(); ++a) {
        BufferRef& r = call.args[a];
        if (!inside.contains(r.buffer)) {
          r.offset += row.steps[a][0] * (counts[0] - b.rest);
          continue;
        }
        const auto [own, is_new] =
            of_rest.try_emplace(r.buffer, static_cast<int>(p_.plan.buffers.size()));
        if (is_new)
          p_.plan.buffers.push_back({.name = p_.plan.buffers[static_cast<size_t>(r.buffer)].name,
                                     .bytes = b.rest * row.steps[a][0]});
        r.buffer = own->second;
      }
      rest.push_back(std::move(call));
    }
    for (size_t l = loops.size(); l-- > 0;) {
      Step loop;
      loop.kind = StepKind::Loop;
      loop.loop = loops[l], loop.count = b.counts[l];
      loop.independent = true;
      loop.body = std::move(body);
      body.clear();
      body.push_back(std::move(loop));
    }
    std::ranges::move(rest, std::back_inserter(body));
    for (const size_t i : run.skipped) body.push_back(std::move(steps[i]));
    const auto first = steps.begin() + static_cast<int64_t>(run.calls.front());
    const auto end = steps.begin() + static_cast<int64_t>(run.calls.back()) + 1;
    const auto next = steps.erase(first, end);
    steps.insert(next, std::make_move_iterator(body.begin()), std::make_move_iterator(body.end()));
  }

  // Buffers of which nothing is left to others.
  std::set<int> temporaries(const Run& run) const {
    std::set<int> out;
    for (const auto& [buffer, use] : run.uses)
      if (p_.plan.buffers[static_cast<size_t>(buffer)].kind == BufferKind::Arena &&
          use.written_first && use.at->offset == 0 && use.at->terms.empty() &&
          mentions(p_.plan.steps, buffer) == use.touches)
        out.insert(buffer);
    return out;
  }

  // The kernel over so many rows.
  int part(int kernel, const Row& row, int64_t rows) {
    Dims extents = row.extents;
    extents[static_cast<size_t>(row.iv)] *= rows;
    const auto [known, is_new] =
        parts_.try_emplace({kernel, extents}, static_cast<int>(p_.kernels.size()));
    if (!is_new) return known->second;
    Kernel k = p_.kernels[static_cast<size_t>(kernel)];
    for (size_t iv = extents.size(); iv-- > 0;)
      if (extents[iv] != k.par[iv]) k = first_values(std::move(k), static_cast<SymbolId>(iv), extents[iv]);
    canonicalize_parallel(k);
    KernelSchedule schedule = choose_schedule(k, target_);
    schedule.parallel = -1, schedule.grain = 1;  // the loop has the threads
    p_.schedules.push_back(schedule);
    p_.kernels.push_back(std::move(k));
    return known->second;
  }

  Program& p_;
  const Target& target_;
  std::map<std::pair<int, Dims>, int> parts_;
};

}  // namespace

void block_calls(Program& p, const Target& target) { Blocking(p, target).run(); }

}  // namespace lathe
