#include "passes/join_calls.h"

#include <algorithm>
#include <cstdlib>

#include "ir/kernel_bounds.h"
#include "passes/program_use.h"

namespace lathe {
namespace {

// Bytes [begin, end), counted from where the space begins.
struct Bytes {
  int64_t begin, end;
  bool meets(const Bytes& o) const { return begin < o.end && o.begin < end; }
};

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

// What a kernel's access reaches of an operand that begins at byte `base`.
class Reach {
 public:
  Reach(const Kernel& k, const Access& access, std::span<const GuardId> guards, int64_t base)
      : k_(k),
        at_(access.offset),
        base_(base),
        element_(byte_size(k.operands[static_cast<size_t>(access.operand)].dtype)),
        affine_(access.indirect.empty() &&
                std::ranges::all_of(access.offset.terms, [&](const IndexTerm& t) {
                  return t.symbol < k.derived_symbol(0);
                })) {
    const int64_t size = k.operands[static_cast<size_t>(access.operand)].size;
    all_ = {base, base + size * element_};
    if (!access.indirect.empty()) return;
    const Interval i = IndexBounds(k, guards).of(at_, {0, size - 1});
    if (i.lo > i.hi) return;
    all_ = bytes(static_cast<int64_t>(std::max<__int128>(i.lo, 0)),
                 static_cast<int64_t>(std::min<__int128>(i.hi, size - 1)));
  }

  // False where they have no byte in common; true where that is not seen.
  bool meets(const Reach& o) const {
    if (!all_.meets(o.all_)) return false;
    if (!affine_ || !o.affine_) return true;
    const auto apart = [&](const Reach& r) {
      return std::ranges::any_of(r.at_.terms, [&](const IndexTerm& t) {
        return apart_in_rows(o, std::abs(t.coefficient) * r.element_);
      });
    };
    return !apart(*this) && !apart(o);
  }

 private:
  Bytes bytes(int64_t low, int64_t high) const {
    return {base_ + low * element_, base_ + (high + 1) * element_};
  }

  // Whether memory taken for rows of so many bytes shows the two in different columns.
  bool apart_in_rows(const Reach& o, int64_t row) const {
    const Bytes a = columns(row), b = o.columns(row);
    if (a.end - a.begin > row || b.end - b.begin > row) return false;
    const auto inside = [&](Bytes x) {
      const int64_t first = floor_div(x.begin, row) * row;
      return Bytes{x.begin - first, x.end - first};
    };
    const Bytes x = inside(a), y = inside(b);
    return x.end <= row && y.end <= row && !x.meets(y);
  }

  // Without the terms that move by whole rows.
  Bytes columns(int64_t row) const {
    IndexExpr rest(at_.constant);
    for (const IndexTerm& t : at_.terms)
      if (t.coefficient * element_ % row != 0)
        rest = rest + IndexExpr::symbol(t.symbol) * t.coefficient;
    const Interval i = IndexBounds(k_).coarse(rest);
    return bytes(static_cast<int64_t>(i.lo), static_cast<int64_t>(i.hi));
  }

  const Kernel& k_;
  const IndexExpr& at_;
  const int64_t base_, element_;
  const bool affine_;
  Bytes all_{};
};

class Joining {
 public:
  explicit Joining(Program& p) : p_(p) {}

  void visit(std::vector<Step>& steps) {
    for (Step& s : steps) visit(s.body), visit(s.other);
    for (size_t first = 0; first < steps.size();) {
      size_t end = first + 1;
      while (end < steps.size() && end - first < kMostJoined && joins(steps, first, end)) ++end;
      const bool split = std::any_of(steps.begin() + static_cast<int64_t>(first),
                                     steps.begin() + static_cast<int64_t>(end),
                                     [&](const Step& s) { return is_split(s); });
      for (size_t i = first + 1; split && i < end; ++i) steps[i].joins = true;
      first = end;
    }
  }

 private:
  bool is_split(const Step& s) const {
    return s.kind == StepKind::Call &&
           chunk_count(p_.kernel_of(s), p_.schedules[static_cast<size_t>(s.kernel)]) > 1;
  }

  bool joins(const std::vector<Step>& steps, size_t first, size_t i) const {
    if (steps[first].kind != StepKind::Call || steps[i].kind != StepKind::Call) return false;
    for (; first < i; ++first)
      if (share(steps[first], steps[i])) return false;
    return true;
  }

  bool share(const Step& a, const Step& b) const {
    for (size_t i = 0; i < a.args.size(); ++i)
      for (size_t j = 0; j < b.args.size(); ++j)
        if (share(a, i, b, j)) return true;
    return false;
  }

  // Whether one writes what the other touches, through these operands.
  bool share(const Step& a, size_t i, const Step& b, size_t j) const {
    const Kernel &k = p_.kernel_of(a), &l = p_.kernel_of(b);
    if (k.operands[i].role == OperandRole::In && l.operands[j].role == OperandRole::In)
      return false;
    const BufferRef &x = a.args[i], &y = b.args[j];
    const Buffer &from = buffer(x), &to = buffer(y);
    const bool temporary = from.kind == BufferKind::Arena || from.kind == BufferKind::Local;
    if (temporary ? from.kind != to.kind : x.buffer != y.buffer) return false;
    if (!Bytes{from.offset, from.offset + from.bytes}.meets({to.offset, to.offset + to.bytes}))
      return false;
    BufferRef moved = y;
    moved.offset = x.offset;
    const bool same_terms = x.buffer == y.buffer && same_place(x, moved);
    if (!same_terms && !(x.terms.empty() && y.terms.empty())) return true;
    const std::vector<Reach> mine = reaches(k, i, from.offset + x.offset),
                             theirs = reaches(l, j, to.offset + y.offset);
    return std::ranges::any_of(mine, [&](const Reach& r) {
      return std::ranges::any_of(theirs, [&](const Reach& s) { return r.meets(s); });
    });
  }

  const Buffer& buffer(const BufferRef& r) const {
    return p_.plan.buffers[static_cast<size_t>(r.buffer)];
  }

  static std::vector<Reach> reaches(const Kernel& k, size_t operand, int64_t base) {
    std::vector<Reach> out;
    for (const Instr& in : k.body)
      if (in.op == Scalar::Load && in.access.operand == static_cast<int32_t>(operand))
        out.emplace_back(k, in.access, in.guards, base);
    for (const Store& s : k.stores)
      if (s.access.operand == static_cast<int32_t>(operand))
        out.emplace_back(k, s.access, std::span<const GuardId>(), base);
    return out;
  }

  Program& p_;
};

}  // namespace

void join_calls(Program& p, const Target&) { Joining(p).visit(p.plan.steps); }

}  // namespace lathe
