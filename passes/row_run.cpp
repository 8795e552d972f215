#include "passes/row_run.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "passes/kernel_part.h"
#include "passes/program_use.h"

namespace lathe {
namespace {

constexpr size_t kMostCalls = 48;    // of a run
constexpr size_t kMostSkipped = 16;  // so far from one call to the next

// By operand, the bytes from its row's first to the last that the kernel touches at one row.
// Nothing where an operand's rows overlap; all values of a loop may have the same.
std::optional<std::vector<int64_t>> reach_of(const Kernel& k, const KernelRow& row,
                                             std::span<const int64_t> counts) {
  std::vector<int64_t> reach(k.operands.size(), 0);
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
    reach[operand] = std::max(reach[operand], (last + 1) * byte_size(k.operands[operand].dtype));
    return true;
  };
  bool plain = true;
  for_each_access(k, [&](const Access& a) { plain = plain && see(a); });
  if (!plain) return std::nullopt;
  for (size_t i = 0; i < reach.size(); ++i) {
    int64_t span = reach[i];
    for (size_t l = counts.size(); l-- > 0;) {
      const int64_t step = row.steps[i][l];
      if (step != 0 && step < span) return std::nullopt;
      span += step * (counts[l] - 1);
    }
  }
  return reach;
}

class Finder {
 public:
  Finder(const Program& p, const std::vector<Step>& steps, int64_t most)
      : p_(p), steps_(steps), most_(most) {}

  std::optional<RowRun> from(size_t begin) const {
    if (!has_rows(steps_[begin])) return std::nullopt;
    std::optional<RowRun> run = with_rows({begin});
    if (!run) return std::nullopt;
    std::vector<size_t> skipped;
    for (size_t i = begin + 1; i < steps_.size() && run->calls.size() < kMostCalls; ++i) {
      if (i - run->calls.back() > kMostSkipped) break;
      if (auto longer = join(*run, skipped, i)) run = std::move(longer);
      else skipped.push_back(i);
    }
    std::erase_if(skipped, [&](size_t i) { return i > run->calls.back(); });
    run->skipped = std::move(skipped);
    return run;
  }

 private:
  // Matrix products share a factor among rows, and have tiles of their own.
  bool has_rows(const Step& s) const {
    if (s.kind != StepKind::Call) return false;
    const Kernel& k = p_.kernel_of(s);
    if (k.par.empty() || k.core == Core::Scatter || k.steps() == 0) return false;
    return k.order == Order::Lanes ||
           std::ranges::none_of(k.reductions, [](const Reduction& r) { return is_fma(r.combine); });
  }

  // The run with one more call, which touches what its rows touch.
  std::optional<RowRun> join(const RowRun& run, const std::vector<size_t>& skipped,
                             size_t at) const {
    const Step& s = steps_[at];
    if (!has_rows(s)) return std::nullopt;
    const bool together = std::ranges::any_of(s.args, [&](const BufferRef& r) {
      const auto use = run.uses.find(r.buffer);
      return use != run.uses.end() && !use->second.shared();
    });
    const auto waits = [&](size_t i) { return depends(p_, s, steps_[i]); };
    if (!together || std::ranges::any_of(skipped, waits)) return std::nullopt;
    std::vector<size_t> calls = run.calls;
    calls.push_back(at);
    return with_rows(std::move(calls));
  }

  // The smallest rows that the calls agree on. Where a kernel's ivs end is where loops begin.
  std::optional<RowRun> with_rows(std::vector<size_t> calls) const {
    std::set<int64_t> ends;  // points of a kernel's leading ivs
    int64_t most = 0;
    for (const size_t i : calls) {
      int64_t points = 1;
      for (const int64_t extent : p_.kernel_of(steps_[i]).par) ends.insert(points *= extent);
      most = std::gcd(most, points);
    }
    ends.insert(most);
    RowRun run;
    run.calls = std::move(calls);
    for (auto rows = ends.upper_bound(most); rows != ends.begin();)
      if (const int64_t n = *--rows; n > 1 && most % n == 0 && loops_to(n, ends, run) &&
                                     find_uses(run) && run.live_bytes() <= most_)
        return run;
    return std::nullopt;
  }

  // Loops over `rows` rows, one from each end to the next.
  static bool loops_to(int64_t rows, const std::set<int64_t>& ends, RowRun& run) {
    run.counts.clear();
    int64_t outer = 1;
    for (const int64_t end : ends) {
      if (end == 1) continue;
      if (end > rows) break;
      if (end % outer != 0) return false;
      run.counts.push_back(end / outer);
      outer = end;
    }
    return true;
  }

  // False where a call does not have these rows, or needs what others leave at another row.
  bool find_uses(RowRun& run) const {
    run.uses.clear();
    for (size_t c = 0; c < run.calls.size(); ++c) {
      const Step& call = steps_[run.calls[c]];
      const Kernel& k = p_.kernel_of(call);
      const std::optional<KernelRow> row = row_of(k, run.counts);
      if (!row) return false;
      const auto reach = reach_of(k, *row, run.counts);
      if (!reach) return false;
      for (size_t a = 0; a < k.operands.size(); ++a) {
        const auto [at, is_new] = run.uses.try_emplace(call.args[a].buffer);
        RowUse& use = at->second;
        if (is_new) {
          use.at = call.args[a], use.steps = row->steps[a], use.first = c;
          use.written_first = k.operands[a].role == OperandRole::Out;
        }
        use.last = c;
        use.mixed |= use.steps != row->steps[a] || !same_place(use.at, call.args[a]);
        use.reach = std::max(use.reach, (*reach)[a]);
        use.written |= k.operands[a].role != OperandRole::In;
        ++use.touches;
      }
    }
    return std::ranges::none_of(run.uses, [](const auto& use) {
      return use.second.written && (use.second.mixed || use.second.shared());
    });
  }

  const Program& p_;
  const std::vector<Step>& steps_;
  const int64_t most_;
};

}  // namespace

std::optional<KernelRow> row_of(const Kernel& k, std::span<const int64_t> counts) {
  KernelRow row;
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

bool RowUse::shared() const { return std::ranges::find(steps, 0) != steps.end(); }

int64_t RowRun::rows() const {
  return std::accumulate(counts.begin(), counts.end(), int64_t{1}, std::multiplies<>());
}

int64_t RowRun::live_bytes() const {
  int64_t most = 0;
  for (size_t c = 0; c < calls.size(); ++c) {
    int64_t now = 0;
    for (const auto& [buffer, use] : uses)
      if (use.steps.back() != 0 && use.first <= c && c <= use.last) now += use.reach;
    most = std::max(most, now);
  }
  return most;
}

std::optional<RowRun> find_row_run(const Program& p, const std::vector<Step>& steps, size_t begin,
                                   int64_t most) {
  return Finder(p, steps, most).from(begin);
}

}  // namespace lathe
