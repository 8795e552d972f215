// The invariants of a kernel. Each has a negative case of the same label in
// tests/kernel_verify_test.cpp.
//
// [kernel-1]  Sizes: at most 64 each of operands, ivs, derived symbols, guards and stores, 65536
//             scalars; extents in [0, 2^40], their product at most 2^62; operands of [0, 2^48]
//             elements; constants, coefficients, strides, divisors, limits below 2^48 in size.
// [kernel-2]  Index expressions use symbols that exist (derived ones: earlier symbols), sorted,
//             with nonzero coefficients; divisors and multiples are positive; guard ids exist.
// [kernel-3]  Scalars are in SSA order: as many arguments as the scalar has operands, all earlier.
// [kernel-4]  Types of arguments and results fit the scalar (ir/scalar.h).
// [kernel-5]  A scalar leaves the members alone that mean nothing to it.
// [kernel-6]  Core and its parts fit: Map has no reduction space, pre = 0 and no reductions; Reduce
//             and Cumulative have reductions; Scatter has none and pre = all; `exclusive` only with
//             Cumulative; Lanes only with Reduce and a nonempty reduction space.
// [kernel-7]  Acc names an existing reduction, has its type, and is not in the first part.
// [kernel-8]  In a Reduce, the second part and the stores use no value of the first part, no
//             reduction index and no symbol derived from one.
// [kernel-9]  Reductions take values of the first part, of the accumulator's type, never f16 or
//             bf16; the combination has a meaning on it; b is given for Fma only; no Assign. Only a
//             Fma of a guarded load is padded.
// [kernel-10] There are stores; each value has its operand's compute type; combining stores are in
//             Scatter only, have a meaning on the type and are not Fma.
// [kernel-11] Loads are from In and InOut operands, stores to Out and InOut ones; a load from an
//             InOut operand uses the offset of one of its stores.
// [kernel-12] Every access stays inside its operand: proven from the extents, the guards and the
//             ranges of integer scalars. A guarded load that cannot be proven is accepted; the
//             interpreter checks it as it runs.
// [kernel-13] Index expressions stay within 2^62 in size.
// [kernel-14] Different parallel points store to different elements: without derived or indirect
//             parts, every parallel iv of extent above 1 moves the offset.
// [kernel-15] Expanded: no scalar of class `expanded`.
#include "ir/kernel_verify.h"

#include <algorithm>

#include "ir/kernel_bounds.h"
#include "ir/kernel_ranges.h"
#include "ir/scalar_eval.h"

namespace lathe {
namespace {

constexpr int64_t kExtentLimit = int64_t{1} << 40;
constexpr int64_t kNumberLimit = int64_t{1} << 48;
constexpr int64_t kValueLimit = int64_t{1} << 62;
constexpr size_t kPartLimit = 64;
constexpr size_t kBodyLimit = 65536;

bool small(int64_t v) { return -kNumberLimit <= v && v <= kNumberLimit; }

class Verifier {
 public:
  Verifier(const Kernel& k, KernelStage stage) : k_(k), stage_(stage) {}

  Result<bool> run() {
    if (sizes() && symbols() && core() && scalars() && reductions() && stores() && memory())
      return true;
    return Failure{error_};
  }

 private:
  template <class... Args>
  bool bad(int invariant, fmt::format_string<Args...> format, Args&&... args) {
    error_ =
        fmt::format("[kernel-{}] ", invariant) + fmt::format(format, std::forward<Args>(args)...);
    return false;
  }
  template <class... Args>
  bool bad_scalar(int invariant, size_t id, fmt::format_string<Args...> format, Args&&... args) {
    return bad(invariant, "%{} = {}: {}", id, name(k_.body[id].op),
               fmt::format(format, std::forward<Args>(args)...));
  }

  bool sizes() {
    if (k_.operands.size() > kPartLimit || k_.par.size() > kPartLimit ||
        k_.red.size() > kPartLimit || k_.derived.size() > kPartLimit ||
        k_.guards.size() > kPartLimit || k_.stores.size() > kPartLimit ||
        k_.reductions.size() > kPartLimit || k_.body.size() > kBodyLimit)
      return bad(1, "too many parts");
    __int128 points = 1;
    for (const Dims* dims : {&k_.par, &k_.red})
      for (int64_t e : *dims) {
        if (e < 0 || e > kExtentLimit) return bad(1, "extent {}", e);
        points *= std::max<int64_t>(e, 1);
        if (points > kValueLimit) return bad(1, "more than 2^62 points");
      }
    for (size_t i = 0; i < k_.operands.size(); ++i)
      if (k_.operands[i].size < 0 || k_.operands[i].size > kNumberLimit)
        return bad(1, "operand {} has {} elements", i, k_.operands[i].size);
    return true;
  }

  bool symbols() {
    for (size_t i = 0; i < k_.derived.size(); ++i) {
      const DerivedSymbol& d = k_.derived[i];
      if (!expression(d.numerator, k_.derived_symbol(static_cast<int>(i)))) return false;
      if (d.divisor < 1) return bad(2, "derived symbol {} has divisor {}", i, d.divisor);
      if (!small(d.divisor)) return bad(1, "divisor {}", d.divisor);
      reduced_derived_.push_back(reduced(d.numerator));
    }
    for (size_t i = 0; i < k_.guards.size(); ++i) {
      const Guard& g = k_.guards[i];
      if (!expression(g.index, k_.symbol_count())) return false;
      if (g.multiple_of < 1) return bad(2, "guard {} tests multiples of {}", i, g.multiple_of);
      if (!small(g.multiple_of) || !small(g.limit)) return bad(1, "limits of guard {}", i);
    }
    return true;
  }

  bool expression(const IndexExpr& e, SymbolId end) {
    SymbolId last = -1;
    if (!small(e.constant)) return bad(1, "constant {}", e.constant);
    for (const IndexTerm& t : e.terms) {
      if (t.symbol <= last) return bad(2, "terms are not sorted by symbol");
      if (t.symbol >= end) return bad(2, "symbol {} does not exist here", t.symbol);
      if (t.coefficient == 0) return bad(2, "symbol {} has coefficient 0", t.symbol);
      if (!small(t.coefficient)) return bad(1, "coefficient {}", t.coefficient);
      last = t.symbol;
    }
    return true;
  }

  bool core() {
    const auto size = static_cast<int32_t>(k_.body.size());
    if (k_.pre < 0 || k_.pre > size) return bad(6, "pre = {} of {} scalars", k_.pre, size);
    if (k_.exclusive && k_.core != Core::Cumulative) return bad(6, "exclusive is for cumulative");
    if (k_.order == Order::Lanes && (k_.core != Core::Reduce || k_.red.empty()))
      return bad(6, "lanes are for reduce with a reduction space");
    const bool accumulates = k_.core == Core::Reduce || k_.core == Core::Cumulative;
    if (accumulates == k_.reductions.empty())
      return bad(6, "{} reductions in this core", k_.reductions.size());
    if (k_.core == Core::Map && (!k_.red.empty() || k_.pre != 0))
      return bad(6, "map with a reduction part");
    if (k_.core == Core::Scatter && k_.pre != size) return bad(6, "scatter with a second part");
    return true;
  }

  bool scalars() {
    for (size_t i = 0; i < k_.body.size(); ++i)
      if (!arguments(i) || !members(i) || !types(i) || !second_part(i)) return false;
    return true;
  }

  bool arguments(size_t id) {
    const Instr& in = k_.body[id];
    if (static_cast<int>(in.op) >= kScalarCount) return bad(3, "%{} is no scalar", id);
    if (stage_ == KernelStage::Expanded && info(in.op).cls == ScalarClass::expanded)
      return bad_scalar(15, id, "not expanded");
    for (int a = 0; a < 3; ++a) {
      const ScalarId arg = in.args[static_cast<size_t>(a)];
      if (a >= info(in.op).operands) {
        if (arg != -1) return bad_scalar(3, id, "argument {} is too many", a);
      } else if (arg < 0 || arg >= static_cast<ScalarId>(id)) {
        return bad_scalar(3, id, "argument {} is %{}, which is not an earlier scalar", a, arg);
      }
    }
    return true;
  }

  bool members(size_t id) {
    const Instr& in = k_.body[id];
    const bool load = in.op == Scalar::Load;
    const bool constant = in.op == Scalar::Const;
    if (in.number != 0 && !(constant && is_float(in.type))) return bad_scalar(5, id, "number");
    if (in.integer != 0 && !(constant && !is_float(in.type)) && in.op != Scalar::Acc)
      return bad_scalar(5, id, "integer");
    if (in.op != Scalar::IndexValue && in.index != IndexExpr()) return bad_scalar(5, id, "index");
    if (!load && in.access != Access()) return bad_scalar(5, id, "access");
    if (!load && in.op != Scalar::GuardTest && !in.guards.empty())
      return bad_scalar(5, id, "guards");
    for (GuardId g : in.guards)
      if (g < 0 || g >= static_cast<GuardId>(k_.guards.size()))
        return bad_scalar(2, id, "guard {} does not exist", g);
    if (!expression(in.index, k_.symbol_count())) return false;
    return !load || access(in.access, static_cast<ScalarId>(id));
  }

  // `end`: indirect values must come before.
  bool access(const Access& a, ScalarId end) {
    if (a.operand < 0 || a.operand >= static_cast<int32_t>(k_.operands.size()))
      return bad(11, "operand {} does not exist", a.operand);
    if (!expression(a.offset, k_.symbol_count())) return false;
    if (a.indirect.size() > kPartLimit) return bad(1, "too many indirect terms");
    for (const IndirectTerm& t : a.indirect) {
      if (t.value < 0 || t.value >= end)
        return bad(3, "indirect value %{} is not an earlier scalar", t.value);
      if (!is_integer(k_.body[static_cast<size_t>(t.value)].type))
        return bad(4, "indirect value %{} is not an integer", t.value);
      if (!small(t.stride)) return bad(1, "stride {}", t.stride);
    }
    return true;
  }

  DType arg_type(const Instr& in, size_t a) const {
    return k_.body[static_cast<size_t>(in.args[a])].type;
  }

  bool types(size_t id) {
    const Instr& in = k_.body[id];
    const DType t = in.type;
    if (in.op == Scalar::Load) {
      const DType stored = k_.operands[static_cast<size_t>(in.access.operand)].dtype;
      if (t == stored || t == compute_type(stored)) return true;
      return bad_scalar(4, id, "{} from an operand of {}", name(t), name(stored));
    }
    if (compute_type(t) != t && in.op != Scalar::Cast)
      return bad_scalar(4, id, "only load and cast make {}", name(t));
    switch (in.op) {
      case Scalar::Const: return constant(id);
      case Scalar::IndexValue: return true;
      case Scalar::GuardTest: return t == DType::boolean || bad_scalar(4, id, "is bool");
      case Scalar::Acc: return accumulator(id);
      default: return function_types(id);
    }
  }

  bool constant(size_t id) {
    const Instr& in = k_.body[id];
    if (is_float(in.type) || in.type == DType::u64) return true;
    const uint64_t bits = scalar::constant_bits(in.type, 0, in.integer);
    if (scalar::integer_value(in.type, bits) == in.integer) return true;
    return bad_scalar(4, id, "{} is no {}", in.integer, name(in.type));
  }

  bool accumulator(size_t id) {
    const Instr& in = k_.body[id];
    if (in.integer < 0 || in.integer >= static_cast<int64_t>(k_.reductions.size()))
      return bad_scalar(7, id, "reduction {} does not exist", in.integer);
    if (static_cast<int32_t>(id) < k_.pre) return bad_scalar(7, id, "in the first part");
    if (k_.reductions[static_cast<size_t>(in.integer)].type == in.type) return true;
    return bad_scalar(7, id, "is not of the accumulator's type");
  }

  bool function_types(size_t id) {
    const Instr& in = k_.body[id];
    const bool select = in.op == Scalar::Select;
    if (select && arg_type(in, 0) != DType::boolean) return bad_scalar(4, id, "condition");
    const DType t = compute_type(arg_type(in, select ? 1 : 0));
    for (size_t a = select ? 2 : 1; a < static_cast<size_t>(info(in.op).operands); ++a) {
      DType expected = t;
      if (in.op == Scalar::Scale2) expected = t == DType::f64 ? DType::i64 : DType::i32;
      if (compute_type(arg_type(in, a)) != expected)
        return bad_scalar(4, id, "argument {} is {}, expected {}", a, name(arg_type(in, a)),
                          name(expected));
    }
    const bool known = info(in.op).cls == ScalarClass::expanded
                           ? is_float(t) && in.type == t
                           : scalar::scalar_function(in.op, t, in.type) != nullptr;
    return known || bad_scalar(4, id, "{} from {}", name(in.type), name(t));
  }

  // Whether `e` depends on a reduction index.
  bool reduced(const IndexExpr& e) const {
    const SymbolId first = k_.red_symbol(0), last = k_.derived_symbol(0);
    return std::any_of(e.terms.begin(), e.terms.end(), [&](const IndexTerm& t) {
      if (t.symbol < last) return t.symbol >= first;
      return static_cast<bool>(reduced_derived_[static_cast<size_t>(t.symbol - last)]);
    });
  }
  bool reduced(const Access& a) const {
    return reduced(a.offset) || std::any_of(a.indirect.begin(), a.indirect.end(),
                                            [&](auto& t) { return t.value < k_.pre; });
  }

  bool second_part(size_t id) {
    const Instr& in = k_.body[id];
    if (k_.core != Core::Reduce || static_cast<int32_t>(id) < k_.pre) return true;
    for (ScalarId arg : in.args)
      if (arg != -1 && arg < k_.pre) return bad_scalar(8, id, "uses %{} of the first part", arg);
    bool uses = reduced(in.index) || reduced(in.access);
    for (GuardId g : in.guards) uses = uses || reduced(k_.guards[static_cast<size_t>(g)].index);
    return !uses || bad_scalar(8, id, "depends on the reduction space");
  }

  bool is_guarded(ScalarId id) const {
    const Instr& in = k_.body[static_cast<size_t>(id)];
    return in.op == Scalar::Load && !in.guards.empty();
  }

  bool reductions() {
    for (size_t i = 0; i < k_.reductions.size(); ++i) {
      const Reduction& r = k_.reductions[i];
      if (compute_type(r.type) != r.type) return bad(9, "accumulator {} is {}", i, name(r.type));
      if (r.combine == Combine::Assign || scalar::combine_function(r.combine, r.type) == nullptr)
        return bad(9, "reduction {} cannot combine {}", i, name(r.type));
      if (is_fma(r.combine) != (r.b != -1)) return bad(9, "second value of {}", i);
      if (r.combine == Combine::FmaFlush && k_.order != Order::Sequential)
        return bad(9, "reduction {} by fma_flush in lanes", i);
      for (ScalarId v : {r.a, r.b}) {
        if (v == -1 && !is_fma(r.combine) && r.a != -1) continue;
        if (v < 0 || v >= k_.pre) return bad(9, "reduction {} of %{}", i, v);
        if (compute_type(k_.body[static_cast<size_t>(v)].type) != r.type)
          return bad(9, "reduction {}: %{} is not {}", i, v, name(r.type));
      }
      if (r.padded && !(r.combine == Combine::Fma && (is_guarded(r.a) || is_guarded(r.b))))
        return bad(9, "reduction {} is padded without a guarded load", i);
    }
    return true;
  }

  bool stores() {
    if (k_.stores.empty()) return bad(10, "no stores");
    for (size_t i = 0; i < k_.stores.size(); ++i) {
      const Store& s = k_.stores[i];
      const auto size = static_cast<ScalarId>(k_.body.size());
      if (!access(s.access, size)) return false;
      if (s.value < 0 || s.value >= size) return bad(10, "store {} of %{}", i, s.value);
      const Operand& o = k_.operands[static_cast<size_t>(s.access.operand)];
      if (o.role == OperandRole::In) return bad(11, "store {} into an input", i);
      if (compute_type(k_.body[static_cast<size_t>(s.value)].type) != compute_type(o.dtype))
        return bad(10, "store {}: %{} is not {}", i, s.value, name(o.dtype));
      if (is_fma(s.combine) || scalar::combine_function(s.combine, o.dtype) == nullptr ||
          (s.combine != Combine::Assign && k_.core != Core::Scatter))
        return bad(10, "store {} cannot combine", i);
      if (k_.core == Core::Reduce && (s.value < k_.pre || reduced(s.access)))
        return bad(8, "store {} depends on the reduction space", i);
    }
    return true;
  }

  bool memory() {
    const bool no_points = std::count(k_.par.begin(), k_.par.end(), 0) > 0;
    const bool no_steps = std::count(k_.red.begin(), k_.red.end(), 0) > 0;
    if (no_points) return true;
    if (!index_sizes()) return false;
    for (size_t i = 0; i < k_.body.size(); ++i) {
      if (k_.body[i].op != Scalar::Load) continue;
      if (!load_role(i)) return false;
      if (no_steps && (static_cast<int32_t>(i) < k_.pre || k_.core != Core::Reduce)) continue;
      const std::vector<GuardId>& guards = k_.body[i].guards;
      if (!inside(k_.body[i].access, guards) && guards.empty())
        return bad_scalar(12, i, "may leave operand {}", k_.body[i].access.operand);
    }
    for (size_t i = 0; i < k_.stores.size(); ++i) {
      if (!moves(i)) return false;
      if (no_steps && k_.core != Core::Reduce) continue;
      if (!inside(k_.stores[i].access, {}))
        return bad(12, "store {} may leave operand {}", i, k_.stores[i].access.operand);
    }
    return true;
  }

  bool index_sizes() {
    const Interval limit{-kValueLimit, kValueLimit};
    const IndexBounds bounds(k_);
    const auto fits = [&](const IndexExpr& e) {
      return bounds.coarse(e).inside(limit) || bad(13, "an index expression may overflow");
    };
    for (const DerivedSymbol& d : k_.derived)
      if (!fits(d.numerator)) return false;
    for (const Guard& g : k_.guards)
      if (!fits(g.index)) return false;
    for (const Instr& in : k_.body)
      if (!fits(in.index) || !fits(in.access.offset)) return false;
    return true;
  }

  bool load_role(size_t id) {
    const Access& a = k_.body[id].access;
    const OperandRole role = k_.operands[static_cast<size_t>(a.operand)].role;
    if (role == OperandRole::Out) return bad_scalar(11, id, "from an output");
    if (role == OperandRole::In) return true;
    for (const Store& s : k_.stores)
      if (s.access == a) return true;
    return bad_scalar(11, id, "in place, but at no store's offset");
  }

  bool inside(const Access& a, std::span<const GuardId> guards) const {
    const Interval goal{0, k_.operands[static_cast<size_t>(a.operand)].size - 1};
    Interval indirect;
    for (const IndirectTerm& t : a.indirect) {
      const Interval v = integer_range(k_, t.value);
      indirect.lo += t.stride * (t.stride >= 0 ? v.lo : v.hi);
      indirect.hi += t.stride * (t.stride >= 0 ? v.hi : v.lo);
    }
    const Interval rest{goal.lo - indirect.lo, goal.hi - indirect.hi};
    if (IndexBounds(k_).of(a.offset, rest).inside(rest)) return true;
    return !guards.empty() && IndexBounds(k_, guards).of(a.offset, rest).inside(rest);
  }

  bool moves(size_t i) {
    const Access& a = k_.stores[i].access;
    if (!a.indirect.empty()) return true;
    for (const IndexTerm& t : a.offset.terms)
      if (t.symbol >= k_.derived_symbol(0)) return true;
    for (size_t p = 0; p < k_.par.size(); ++p)
      if (k_.par[p] > 1 && a.offset.coefficient(static_cast<SymbolId>(p)) == 0)
        return bad(14, "store {} does not depend on p{}", i, p);
    return true;
  }

  const Kernel& k_;
  KernelStage stage_;
  std::vector<bool> reduced_derived_;  // by derived symbol
  std::string error_;
};

}  // namespace

Result<bool> verify_kernel(const Kernel& k, KernelStage stage) { return Verifier(k, stage).run(); }

Result<bool> verify_schedule(const Kernel& k, const KernelSchedule& s) {
  if (s.parallel < -1 || s.parallel >= static_cast<int>(k.par.size()))
    return failure("schedule: parallel iv {} of {}", s.parallel, k.par.size());
  if (s.grain < 1) return failure("schedule: grain {}, expected at least 1", s.grain);
  if (s.vector < -1 || s.vector >= static_cast<int>(k.par.size() + k.red.size()))
    return failure("schedule: vector iv {} does not exist", s.vector);
  if (s.tile_m < 0 || s.tile_n < 0)
    return failure("schedule: tile {}x{}, expected no negative", s.tile_m, s.tile_n);
  if (s.fetch < -1 || s.fetch >= static_cast<int>(k.operands.size()))
    return failure("schedule: operand {} to fetch of {}", s.fetch, k.operands.size());
  if (s.ahead < 0) return failure("schedule: {} bytes ahead, expected no negative", s.ahead);
  return true;
}

}  // namespace lathe
