#include "passes/carry_in_place.h"

#include <optional>
#include <span>

#include "passes/program_use.h"

namespace lathe {
namespace {

// A buffer of two slots, of which iteration i of the loop reads one and writes the other.
struct Slots {
  int buffer = -1, loop = -1;
  int64_t bytes = 0;  // of one

  BufferRef read() const { return {buffer, 0, {{loop, bytes, true}}}; }
  BufferRef written() const { return {buffer, bytes, {{loop, -bytes, true}}}; }
};

template <class Steps, class F>
void for_each_place(Steps&& steps, int buffer, const F& fn) {
  for (auto& s : steps) {
    for (auto& r : s.args)
      if (r.buffer == buffer) fn(r);
    for_each_place(s.body, buffer, fn);
    for_each_place(s.other, buffer, fn);
  }
}

class InPlace {
 public:
  explicit InPlace(Program& p) : p_(p) {}

  void visit(std::vector<Step>& steps) {
    for (Step& s : steps) {
      visit(s.body), visit(s.other);
      if (s.kind != StepKind::Loop) continue;
      for (size_t at = 0; at < s.body.size(); ++at)
        if (const std::optional<Slots> slots = find(s, at)) join(*slots);
    }
  }

 private:
  // The slots that the body's step `at` computes a next value in, where they can be one.
  std::optional<Slots> find(const Step& loop, size_t at) const {
    const Step& call = loop.body[at];
    if (call.kind != StepKind::Call) return std::nullopt;
    const Kernel& k = p_.kernel_of(call);
    for (size_t to = 0; to < call.args.size(); ++to) {
      const BufferRef& place = call.args[to];
      const Slots slots{place.buffer, loop.loop, place.offset};
      if (k.operands[to].role == OperandRole::Out && slots.bytes > 0 &&
          same_place(place, slots.written()) && fills(slots) && reads_elements(call, to, slots) &&
          is_only_writer(loop, at, slots))
        return slots;
    }
    return std::nullopt;
  }

  bool fills(const Slots& slots) const {
    return p_.plan.buffers[static_cast<size_t>(slots.buffer)].bytes == 2 * slots.bytes;
  }

  bool reads_elements(const Step& call, size_t to, const Slots& slots) const {
    bool reads = false;
    for (size_t i = 0; i < call.args.size(); ++i) {
      if (call.args[i].buffer != slots.buffer || i == to) continue;
      if (!same_place(call.args[i], slots.read()) ||
          !elementwise_over(p_.kernel_of(call), static_cast<int>(i), static_cast<int>(to)))
        return false;
      reads = true;
    }
    return reads;
  }

  // Steps before the call read the last value, steps after it the next.
  bool is_only_writer(const Step& loop, size_t at, const Slots& slots) const {
    for (size_t i = 0; i < loop.body.size(); ++i) {
      if (i == at) continue;
      const BufferRef place = i < at ? slots.read() : slots.written();
      bool fits = !writes(p_, loop.body[i], slots.buffer);
      for_each_place(std::span(&loop.body[i], 1), slots.buffer,
                     [&](const BufferRef& r) { fits = fits && same_place(r, place); });
      if (!fits) return false;
    }
    return true;
  }

  // Outside of the loop the slots are where its first value is put and where its last one is found.
  void join(const Slots& slots) {
    for_each_place(p_.plan.steps, slots.buffer, [&](BufferRef& r) {
      std::erase_if(r.terms, [&](const LoopTerm& t) { return t.loop == slots.loop && t.parity; });
      if (r.offset >= slots.bytes) r.offset -= slots.bytes;
    });
    p_.plan.buffers[static_cast<size_t>(slots.buffer)].bytes = slots.bytes;
  }

  Program& p_;
};

}  // namespace

void carry_in_place(Program& p, const Target&) { InPlace(p).visit(p.plan.steps); }

}  // namespace lathe
