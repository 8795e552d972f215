#include "passes/sink_into_loops.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <span>
#include <tuple>

#include "passes/kernel_part.h"
#include "passes/kernel_passes.h"
#include "passes/program_use.h"

namespace lathe {
namespace {

constexpr int64_t kRows = 16;  // two register tiles: each panel of weights is used twice

int64_t element_bytes(const Kernel& k, int32_t operand) {
  return byte_size(k.operands[static_cast<size_t>(operand)].dtype);
}

class Sinking {
 public:
  Sinking(Program& p, const Target& target) : p_(p), target_(target) {}

  void run() {
    visit(p_.plan.steps);
    drop_unused(p_);
  }

 private:
  // A call whose result `buffer` a loop reads: iteration i what `each` values of `iv` from i * each
  // on give, or the last such where `reverse`.
  struct Slices {
    size_t call = 0, loop = 0;  // places in their list of steps
    int buffer = -1;
    SymbolId iv = -1;
    int64_t each = 1, bytes = 0;  // of a slice
    bool reverse = false;
  };

  void visit(std::vector<Step>& steps) {
    for (Step& s : steps) visit(s.body), visit(s.other);
    for (size_t i = steps.size(); i-- > 0;)
      if (const std::optional<Slices> s = find_slices(steps, i)) sink(steps, *s);
  }

  // The only store's buffer; -1 where it is not a whole temporary.
  int result(const Step& call) const {
    const Kernel& k = p_.kernel_of(call);
    if (k.stores.size() != 1 || !k.stores[0].access.indirect.empty()) return -1;
    const auto operand = static_cast<size_t>(k.stores[0].access.operand);
    const BufferRef& to = call.args[operand];
    if (k.operands[operand].role != OperandRole::Out || to.offset != 0 || !to.terms.empty())
      return -1;
    const Buffer& buffer = p_.plan.buffers[static_cast<size_t>(to.buffer)];
    return buffer.kind == BufferKind::Arena ? to.buffer : -1;
  }

  std::optional<Slices> find_slices(const std::vector<Step>& steps, size_t at) const {
    const Step& call = steps[at];
    if (call.kind != StepKind::Call || !is_product(p_.kernel_of(call))) return std::nullopt;
    Slices s{.call = at, .buffer = result(call)};
    if (s.buffer < 0 || 2 * bytes_of(s.buffer) <= target_.l2_bytes) return std::nullopt;
    s.loop = at + 1;
    while (s.loop < steps.size() && mentions({&steps[s.loop], 1}, s.buffer) == 0) ++s.loop;
    if (s.loop == steps.size() || steps[s.loop].kind != StepKind::Loop) return std::nullopt;
    if (mentions(p_.plan.steps, s.buffer) != 1 + mentions({&steps[s.loop], 1}, s.buffer))
      return std::nullopt;
    const Step& loop = steps[s.loop];
    if (!read_by_slices(loop.body, loop, s) || s.bytes == 0) return std::nullopt;
    if (!find_iv(p_.kernel_of(call), loop.count, s) ||
        rows(p_.kernel_of(call), s.iv) < kRows * loop.count)
      return std::nullopt;
    for (size_t i = at + 1; i <= s.loop; ++i)
      for (const BufferRef& from : call.args)
        if (writes(p_, steps[i], from.buffer)) return std::nullopt;
    return s;
  }

  int64_t bytes_of(int buffer) const { return p_.plan.buffers[static_cast<size_t>(buffer)].bytes; }

  static bool is_product(const Kernel& k) {
    return k.core == Core::Reduce && k.reductions.size() == 1 &&
           k.reductions[0].combine == Combine::Fma && k.steps() > 0;
  }

  // Whether every reference to the buffer moves by one slice an iteration and stays in its slice.
  bool read_by_slices(const std::vector<Step>& steps, const Step& loop, Slices& s) const {
    for (const Step& step : steps) {
      for (size_t i = 0; i < step.args.size(); ++i) {
        const BufferRef& r = step.args[i];
        if (r.buffer != s.buffer) continue;
        if (step.kind != StepKind::Call || r.terms.size() != 1 || r.terms[0].loop != loop.loop ||
            r.terms[0].parity)
          return false;
        const int64_t stride = r.terms[0].stride, size = std::abs(stride);
        if (s.bytes != 0 && (size != s.bytes || s.reverse != (stride < 0))) return false;
        s.bytes = size, s.reverse = stride < 0;
        const int64_t within = r.offset - (s.reverse ? (loop.count - 1) * size : 0);
        const Operand& operand = p_.kernel_of(step).operands[i];
        if (operand.role != OperandRole::In || within < 0 ||
            within + operand.size * byte_size(operand.dtype) > size)
          return false;
      }
      if (!read_by_slices(step.body, loop, s) || !read_by_slices(step.other, loop, s)) return false;
    }
    return true;
  }

  // The parallel iv that walks the slices, which nothing else than plain offsets may depend on. It
  // may have merged with the one that walks a slice's rows.
  static bool find_iv(const Kernel& k, int64_t count, Slices& s) {
    const Access& store = k.stores[0].access;
    const int64_t elements = s.bytes / element_bytes(k, store.operand);
    int64_t last = store.offset.constant;  // element of a slice
    for (const IndexTerm& t : store.offset.terms) {
      if (t.symbol >= std::ssize(k.par) || t.coefficient < 0) return false;
      int64_t extent = k.par[static_cast<size_t>(t.symbol)];
      if (t.coefficient * extent == elements * count && extent % count == 0)
        s.iv = t.symbol, s.each = extent = extent / count;
      last += t.coefficient * (extent - 1);
    }
    if (s.iv < 0 || last >= elements) return false;
    const auto steps = steps_along(k, s.iv);
    return steps && std::ranges::all_of(*steps, [](int64_t step) { return step >= 0; });
  }

  // Points that share an element of the factor that does not move with the slices: a slice's share
  // of them reads it again.
  static int64_t rows(const Kernel& k, SymbolId iv) {
    for (const ScalarId id : {k.reductions[0].a, k.reductions[0].b}) {
      const Instr& load = k.body[static_cast<size_t>(id)];
      if (load.op != Scalar::Load || load.access.offset.coefficient(iv) != 0) continue;
      int64_t shared = k.points();
      for (const IndexTerm& t : load.access.offset.terms)
        if (t.symbol < std::ssize(k.par)) shared /= k.par[static_cast<size_t>(t.symbol)];
      return shared;
    }
    return 0;
  }

  void sink(std::vector<Step>& steps, const Slices& s) {
    Step call = std::move(steps[s.call]);
    Step& loop = steps[s.loop];
    const std::vector<int64_t> along = *steps_along(p_.kernel_of(call), s.iv);
    for (size_t i = 0; i < call.args.size(); ++i) {
      BufferRef& r = call.args[i];
      const int64_t step =
          s.each * along[i] * element_bytes(p_.kernel_of(call), static_cast<int32_t>(i));
      if (r.buffer == s.buffer || step == 0) continue;
      r.terms.push_back({loop.loop, s.reverse ? -step : step, false});
      if (s.reverse) r.offset += step * (loop.count - 1);
    }
    call.kernel = one_slice(call.kernel, s.iv, s.each);
    in_its_slice(loop.body, s, loop.count);
    p_.plan.buffers[static_cast<size_t>(s.buffer)].bytes = s.bytes;
    loop.body.insert(loop.body.begin(), std::move(call));
    steps.erase(steps.begin() + static_cast<int64_t>(s.call));
  }

  static void in_its_slice(std::vector<Step>& steps, const Slices& s, int64_t count) {
    for (Step& step : steps) {
      for (BufferRef& r : step.args)
        if (r.buffer == s.buffer) {
          r.terms.clear();
          if (s.reverse) r.offset -= (count - 1) * s.bytes;
        }
      in_its_slice(step.body, s, count), in_its_slice(step.other, s, count);
    }
  }

  int one_slice(int kernel, SymbolId iv, int64_t each) {
    const auto [known, is_new] = slices_.try_emplace({kernel, iv, each}, -1);
    if (!is_new) return known->second;
    Kernel k = first_values(p_.kernels[static_cast<size_t>(kernel)], iv, each);
    const KernelSchedule schedule = choose_schedule(k, target_);
    return known->second = p_.add(std::move(k), schedule);
  }

  Program& p_;
  const Target& target_;
  std::map<std::tuple<int, SymbolId, int64_t>, int> slices_;  // kernels of one slice
};

}  // namespace

void sink_into_loops(Program& p, const Target& target) { Sinking(p, target).run(); }

}  // namespace lathe
