#include "passes/write_over.h"

#include <functional>
#include <map>
#include <span>

#include "passes/program_use.h"

namespace lathe {
namespace {

// Where the steps of a list mention a buffer, themselves or inside.
struct Uses {
  size_t first = 0, last = 0;
  int64_t count = 0;
};

class WritingOver {
 public:
  explicit WritingOver(Program& p) : p_(p), count_(p.plan.buffers.size(), 0) {
    mention(p.plan.steps, [&](int buffer) { ++count_[static_cast<size_t>(buffer)]; });
  }

  void visit(std::vector<Step>& steps) {
    std::map<int, Uses> uses;
    for (size_t i = 0; i < steps.size(); ++i) {
      visit(steps[i].body), visit(steps[i].other);
      mention({&steps[i], 1}, [&](int buffer) {
        Uses& u = uses.try_emplace(buffer, Uses{i, i, 0}).first->second;
        u.last = i, ++u.count;
      });
    }
    for (size_t i = 0; i < steps.size(); ++i)
      if (steps[i].kind == StepKind::Call) write_over(steps, i, uses);
  }

 private:
  static void mention(std::span<const Step> steps, const std::function<void(int)>& fn) {
    for (const Step& s : steps) {
      for (const BufferRef& r : s.args) fn(r.buffer);
      mention(s.body, fn), mention(s.other, fn);
    }
  }

  static void rename(std::span<Step> steps, int from, int to) {
    for (Step& s : steps) {
      for (BufferRef& r : s.args)
        if (r.buffer == from) r.buffer = to;
      rename(s.body, from, to), rename(s.other, from, to);
    }
  }

  void write_over(std::vector<Step>& steps, size_t at, std::map<int, Uses>& uses) {
    const Kernel& k = p_.kernel_of(steps[at]);
    for (size_t to = 0; to < k.operands.size(); ++to) {
      const int result = steps[at].args[to].buffer;
      if (k.operands[to].role != OperandRole::Out || !is_whole(steps[at].args[to], uses) ||
          uses[result].first != at)
        continue;
      const int place = find_place(steps[at], k, to, at, uses);
      if (place < 0) continue;
      rename(std::span(steps).subspan(at), result, place);
      Uses &kept = uses[place], &gone = uses[result];
      kept.last = gone.last, kept.count += gone.count;
      count_[static_cast<size_t>(place)] = kept.count;
      count_[static_cast<size_t>(result)] = gone.count = 0;
    }
  }

  // All of a temporary that nothing outside of the list mentions.
  bool is_whole(const BufferRef& r, const std::map<int, Uses>& uses) const {
    const auto buffer = static_cast<size_t>(r.buffer);
    return p_.plan.buffers[buffer].kind == BufferKind::Arena && r.offset == 0 && r.terms.empty() &&
           uses.at(r.buffer).count == count_[buffer];
  }

  // An operand's buffer that the call's result `to` can take; -1 where there is none.
  int find_place(const Step& call, const Kernel& k, size_t to, size_t at,
                 const std::map<int, Uses>& uses) const {
    for (size_t from = 0; from < k.operands.size(); ++from) {
      const int buffer = call.args[from].buffer;
      if (!is_whole(call.args[from], uses) || uses.at(buffer).last != at ||
          uses.at(buffer).first == at || bytes(buffer) != bytes(call.args[to].buffer))
        continue;
      bool fits = true;
      for (size_t i = 0; i < k.operands.size(); ++i)
        if (call.args[i].buffer == buffer)
          fits = fits && k.operands[i].role == OperandRole::In &&
                 k.operands[i].dtype == k.operands[to].dtype &&
                 same_place(call.args[i], call.args[from]) &&
                 elementwise_over(k, static_cast<int>(i), static_cast<int>(to));
      if (fits) return buffer;
    }
    return -1;
  }

  int64_t bytes(int buffer) const { return p_.plan.buffers[static_cast<size_t>(buffer)].bytes; }

  Program& p_;
  std::vector<int64_t> count_;  // of mentions, by buffer
};

}  // namespace

void write_over(Program& p, const Target&) { WritingOver(p).visit(p.plan.steps); }

}  // namespace lathe
