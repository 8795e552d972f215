#include "passes/plan_memory.h"

#include <algorithm>
#include <functional>

#include "passes/program_use.h"

namespace lathe {
namespace {

constexpr int64_t kAlignment = 64;

struct Interval {
  int64_t first = INT64_MAX, last = -1;
  bool used() const { return last >= 0; }
  void extend(int64_t t) {
    first = std::min(first, t);
    last = std::max(last, t);
  }
};

class Liveness {
 public:
  explicit Liveness(const Plan& plan) : intervals(plan.buffers.size()) { walk(plan.steps); }

  std::vector<Interval> intervals;

 private:
  void use(const Step& s) {
    for (const BufferRef& r : s.args) intervals[static_cast<size_t>(r.buffer)].extend(now_);
    ++now_;
  }

  void walk(const std::vector<Step>& steps) {
    for (const Step& s : steps) {
      if (s.body.empty() && s.other.empty()) {
        use(s);
        continue;
      }
      const int64_t begin = now_;
      use(s);
      walk(s.other);
      walk(s.body);
      use(s);
      if (s.kind != StepKind::If) loops_.push_back({begin, now_ - 1});
      close_loops();
    }
  }

  // What lives across a loop's boundary lives through all of its iterations. Called again after
  // each loop, as later uses may turn a buffer of the body into one that leaves it.
  void close_loops() {
    for (const Interval& loop : loops_)
      for (Interval& b : intervals) {
        if (!b.used()) continue;
        const bool touches = b.first <= loop.last && b.last >= loop.first;
        const bool inside = b.first >= loop.first && b.last <= loop.last;
        if (touches && !inside)
          b.first = std::min(b.first, loop.first), b.last = std::max(b.last, loop.last);
      }
  }

 public:
  void finish() {
    for (size_t i = 0; i < loops_.size(); ++i) close_loops();
  }

 private:
  std::vector<Interval> loops_;
  int64_t now_ = 0;
};

// Temporaries that only one independent loop touches are those of an iteration.
void find_local(Plan& plan) {
  std::vector<int> user(plan.buffers.size(), -1);  // the loop; -2: others too
  const auto use = [&](const Step& s, int loop) {
    for (const BufferRef& r : s.args) {
      int& u = user[static_cast<size_t>(r.buffer)];
      u = loop < 0 || (u != -1 && u != loop) ? -2 : loop;
    }
  };
  const std::function<void(const std::vector<Step>&, int)> walk = [&](const std::vector<Step>& all,
                                                                      int loop) {
    for (const Step& s : all) {
      use(s, loop);
      const int inner = loop < 0 && s.independent ? s.loop : loop;
      walk(s.body, inner);
      walk(s.other, inner);
    }
  };
  walk(plan.steps, -1);
  for (size_t i = 0; i < user.size(); ++i)
    if (user[i] >= 0 && plan.buffers[i].kind == BufferKind::Arena)
      plan.buffers[i].kind = BufferKind::Local;
}

// Offsets of all buffers of one kind; the bytes that they take.
int64_t place(Plan& plan, const Liveness& liveness, BufferKind kind) {
  std::vector<int> order;
  for (int i = 0; i < std::ssize(plan.buffers); ++i)
    if (plan.buffers[static_cast<size_t>(i)].kind == kind &&
        liveness.intervals[static_cast<size_t>(i)].used())
      order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    return plan.buffers[static_cast<size_t>(a)].bytes > plan.buffers[static_cast<size_t>(b)].bytes;
  });
  std::vector<int> placed;  // by offset
  int64_t total = 0;
  for (int id : order) {
    Buffer& b = plan.buffers[static_cast<size_t>(id)];
    const Interval& mine = liveness.intervals[static_cast<size_t>(id)];
    const int64_t bytes = (b.bytes + kAlignment - 1) / kAlignment * kAlignment;
    int64_t offset = 0;
    for (int other : placed) {
      const Buffer& o = plan.buffers[static_cast<size_t>(other)];
      const Interval& theirs = liveness.intervals[static_cast<size_t>(other)];
      if (theirs.first > mine.last || theirs.last < mine.first) continue;
      if (offset + bytes <= o.offset) break;
      offset = std::max(offset, (o.offset + o.bytes + kAlignment - 1) / kAlignment * kAlignment);
    }
    b.offset = offset;
    total = std::max(total, offset + bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), id,
                                   [&](int a, int c) {
                                     return plan.buffers[static_cast<size_t>(a)].offset <
                                            plan.buffers[static_cast<size_t>(c)].offset;
                                   }),
                  id);
  }
  return total;
}

}  // namespace

void plan_memory(Program& p, const Target&) {
  find_local(p.plan);
  Liveness liveness(p.plan);
  liveness.finish();
  p.plan.arena_bytes = place(p.plan, liveness, BufferKind::Arena);
  p.plan.local_bytes = place(p.plan, liveness, BufferKind::Local);
}

void write_updates_in_place(Program& p, const Target&) {
  std::vector<Step>& steps = p.plan.steps;
  for (size_t c = steps.size(); c-- > 0;) {
    const Step& copy = steps[c];
    if (copy.kind != StepKind::Copy) continue;
    const BufferRef from = copy.args[0], to = copy.args[1];
    if (p.plan.buffers[static_cast<size_t>(to.buffer)].kind != BufferKind::Input) continue;
    // The one step that writes the value aside, with nothing after it that touches either buffer.
    size_t writer = c;
    while (writer > 0 && mentions({&steps[writer - 1], 1}, from.buffer) == 0 &&
           mentions({&steps[writer - 1], 1}, to.buffer) == 0)
      --writer;
    if (writer == 0) continue;
    Step& call = steps[writer - 1];
    if (call.kind != StepKind::Call) continue;
    const Kernel& k = p.kernel_of(call);
    int target = -1;
    bool safe = true;
    for (int i = 0; i < std::ssize(call.args); ++i)
      if (call.args[static_cast<size_t>(i)].buffer == from.buffer) {
        safe = safe && target < 0 && k.operands[static_cast<size_t>(i)].role == OperandRole::Out;
        target = i;
      }
    if (!safe || target < 0) continue;
    for (int i = 0; i < std::ssize(call.args); ++i)
      if (call.args[static_cast<size_t>(i)].buffer == to.buffer)
        safe = safe && elementwise_over(k, i, target);
    safe = safe && mentions({steps.data(), writer - 1}, from.buffer) == 0;
    if (!safe) continue;
    call.args[static_cast<size_t>(target)] = to;
    steps.erase(steps.begin() + static_cast<int64_t>(c));
  }
}

}  // namespace lathe
