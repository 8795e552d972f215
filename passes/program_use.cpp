#include "passes/program_use.h"

#include <algorithm>
#include <functional>

namespace lathe {
namespace {

void for_each_step(std::vector<Step>& steps, const std::function<void(Step&)>& fn) {
  for (Step& s : steps) {
    fn(s);
    for_each_step(s.body, fn);
    for_each_step(s.other, fn);
  }
}

// Keeps the items that are used; the new place of each, or -1.
template <class T>
std::vector<int> keep(std::vector<T>& items, const std::vector<bool>& used) {
  std::vector<int> place(items.size(), -1);
  int next = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    if (!used[i]) continue;
    place[i] = next;
    if (static_cast<size_t>(next) != i) items[static_cast<size_t>(next)] = std::move(items[i]);
    ++next;
  }
  items.resize(static_cast<size_t>(next));
  return place;
}

void drop_kernels(Program& p) {
  std::vector<bool> used(p.kernels.size(), false);
  for_each_step(p.plan.steps, [&](Step& s) {
    if (s.kernel >= 0) used[static_cast<size_t>(s.kernel)] = true;
  });
  keep(p.schedules, used);
  const std::vector<int> place = keep(p.kernels, used);
  for_each_step(p.plan.steps, [&](Step& s) {
    if (s.kernel >= 0) s.kernel = place[static_cast<size_t>(s.kernel)];
  });
  p.plan.kernels = static_cast<int>(p.kernels.size());
}

void drop_constants(Plan& plan) {
  std::vector<bool> buffers(plan.buffers.size(), false), constants(plan.constants.size(), false);
  for (size_t i = 0; i < buffers.size(); ++i)
    buffers[i] = plan.buffers[i].kind != BufferKind::Constant;
  for_each_step(plan.steps, [&](Step& s) {
    for (const BufferRef& r : s.args) buffers[static_cast<size_t>(r.buffer)] = true;
  });
  for (size_t i = 0; i < buffers.size(); ++i)
    if (buffers[i] && plan.buffers[i].kind == BufferKind::Constant)
      constants[static_cast<size_t>(plan.buffers[i].index)] = true;
  const std::vector<int> constant = keep(plan.constants, constants);
  const std::vector<int> buffer = keep(plan.buffers, buffers);
  for (Buffer& b : plan.buffers)
    if (b.kind == BufferKind::Constant) b.index = constant[static_cast<size_t>(b.index)];
  for_each_step(plan.steps, [&](Step& s) {
    for (BufferRef& r : s.args) r.buffer = buffer[static_cast<size_t>(r.buffer)];
  });
  for (std::vector<Port>* ports : {&plan.inputs, &plan.outputs})
    for (Port& port : *ports) port.buffer = buffer[static_cast<size_t>(port.buffer)];
}

}  // namespace

int64_t mentions(std::span<const Step> steps, int buffer) {
  int64_t n = 0;
  for (const Step& s : steps)
    n += std::ranges::count(s.args, buffer, &BufferRef::buffer) + mentions(s.body, buffer) +
         mentions(s.other, buffer);
  return n;
}

bool same_place(const BufferRef& a, const BufferRef& b) {
  const auto same_term = [](const LoopTerm& x, const LoopTerm& y) {
    return x.loop == y.loop && x.stride == y.stride && x.parity == y.parity;
  };
  return a.buffer == b.buffer && a.offset == b.offset &&
         std::ranges::equal(a.terms, b.terms, same_term);
}

bool writes(const Program& p, const Step& s, int buffer) {
  for (size_t i = 0; i < s.args.size(); ++i) {
    const bool out =
        s.kind == StepKind::Call ? p.kernel_of(s).operands[i].role != OperandRole::In : i == 1;
    if (s.args[i].buffer == buffer && out) return true;
  }
  const auto any = [&](const std::vector<Step>& steps) {
    return std::ranges::any_of(steps, [&](const Step& t) { return writes(p, t, buffer); });
  };
  return any(s.body) || any(s.other);
}

bool depends(const Program& p, const Step& a, const Step& b) {
  const auto touches = [&](const std::vector<Step>& steps) {
    return std::ranges::any_of(steps, [&](const Step& inner) { return depends(p, inner, b); });
  };
  return std::ranges::any_of(a.args,
                             [&](const BufferRef& r) {
                               return writes(p, b, r.buffer) ||
                                      (writes(p, a, r.buffer) && mentions({&b, 1}, r.buffer) > 0);
                             }) ||
         touches(a.body) || touches(a.other);
}

bool elementwise_over(const Kernel& k, int from, int to) {
  if (k.core != Core::Map && k.core != Core::Reduce) return false;
  for (size_t at = 0; at < k.body.size(); ++at) {
    const Instr& i = k.body[at];
    if (i.op != Scalar::Load || i.access.operand != from) continue;
    if (!i.access.indirect.empty()) return false;
    if (k.core == Core::Reduce && static_cast<int64_t>(at) < k.pre) return false;
    for (const Store& s : k.stores)
      if (s.access.operand == to && !(s.access.offset == i.access.offset)) return false;
  }
  return true;
}

void drop_unused(Program& p) {
  drop_kernels(p);
  drop_constants(p.plan);
}

}  // namespace lathe
