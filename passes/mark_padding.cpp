#include "passes/mark_padding.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>
#include <vector>

#include "passes/program_use.h"

namespace lathe {
namespace {

// Kinds of elements: those that a literal has, or must not have.
struct Elements {
  bool infinite = false;  // or NaN
  bool minus_zero = false;
};

using Excluded = std::map<int32_t, Elements>;  // by operand

bool is_guarded(const Instr& in) { return in.op == Scalar::Load && !in.guards.empty(); }

// What literals must be for a product by padding to change nothing that is stored.
class Proof {
 public:
  explicit Proof(const Kernel& k) : k_(k) {}

  std::optional<Excluded> run() {
    if (k_.core != Core::Reduce || k_.reductions.size() != 1) return std::nullopt;
    const Reduction& r = k_.reductions[0];
    if (r.combine != Combine::Fma || !is_float(r.type) || r.padded) return std::nullopt;
    const bool first = is_guarded(at(r.a));
    if (first == is_guarded(at(r.b)) || !finite(first ? r.b : r.a)) return std::nullopt;
    for (ScalarId id = k_.pre; id < std::ssize(k_.body); ++id)
      if (!follow(id)) return std::nullopt;
    for (const Store& s : k_.stores)
      if (is_signed_zero(s.value)) return std::nullopt;
    return std::move(excluded_);
  }

 private:
  const Instr& at(ScalarId id) const { return k_.body[static_cast<size_t>(id)]; }
  bool is_signed_zero(ScalarId id) const {
    return id >= 0 && signed_zeros_[static_cast<size_t>(id)];
  }

  bool finite(ScalarId id) {
    const Instr& in = at(id);
    if (in.op == Scalar::Const) return std::isfinite(in.number);
    if (in.op != Scalar::Load) return false;
    excluded_[in.access.operand].infinite = true;
    return true;
  }

  bool other_than_minus_zero(ScalarId id) {
    const Instr& in = at(id);
    if (in.op == Scalar::Const) return in.number != 0 || !std::signbit(in.number);
    if (in.op != Scalar::Load) return false;
    excluded_[in.access.operand].minus_zero = true;
    return true;
  }

  // Values that may be a zero of one sign or the other, depending on the padding, are numbers that
  // only certain scalars may read.
  bool follow(ScalarId id) {
    const Instr& in = at(id);
    if (in.op == Scalar::Acc) return signed_zeros_[static_cast<size_t>(id)] = true;
    const auto [a, b, c] = in.args;
    if (!is_signed_zero(a) && !is_signed_zero(b) && !is_signed_zero(c)) return true;
    const ScalarId zero = is_signed_zero(a) ? a : b, other = is_signed_zero(a) ? b : a;
    switch (in.op) {
      case Scalar::Abs: return true;
      case Scalar::Add:
        return is_signed_zero(zero) && !is_signed_zero(other) && other_than_minus_zero(other);
      case Scalar::Mul:
        signed_zeros_[static_cast<size_t>(id)] = true;
        return !is_signed_zero(other) && finite(other);
      case Scalar::Fma:
        return !is_signed_zero(c) && !is_signed_zero(other) && finite(other) &&
               other_than_minus_zero(c);
      default: return false;
    }
  }

  const Kernel& k_;
  Excluded excluded_;
  std::vector<bool> signed_zeros_ = std::vector<bool>(k_.body.size(), false);
};

// Elements of T, whose exponent is all ones where they are not finite.
template <class T>
Elements found_in(const Tensor& t, T exponent) {
  constexpr T minus_zero = static_cast<T>(T{1} << (8 * sizeof(T) - 1));
  T infinite = 0, negative = 0;  // as wide as the elements, for loops of vectors
  const std::byte* from = t.stored();
  for (int64_t i = 0; i < t.size(); ++i) {
    T bits;
    std::memcpy(&bits, from + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    infinite |= static_cast<T>((bits & exponent) == exponent);
    negative |= static_cast<T>(bits == minus_zero);
  }
  return {infinite != 0, negative != 0};
}

Elements found_in(const Tensor& t) {
  switch (t.dtype()) {
    case DType::f64: return found_in<uint64_t>(t, uint64_t{0x7ff} << 52);
    case DType::f32: return found_in<uint32_t>(t, uint32_t{0xff} << 23);
    case DType::f16: return found_in<uint16_t>(t, uint16_t{0x7c00});
    case DType::bf16: return found_in<uint16_t>(t, uint16_t{0x7f80});
    default: return {true, true};
  }
}

class Marking {
 public:
  explicit Marking(Program& p) : p_(p) {
    for (const Kernel& k : p.kernels) proofs_.push_back(Proof(k).run());
  }

  void run(const ParallelFor& parallel) {
    visit(p_.plan.steps, [&](Step& s) { gather(s); });
    std::vector<std::pair<const int, Elements>*> work;
    for (auto& constant : constants_) work.push_back(&constant);
    parallel(std::ssize(work), [&](int64_t i) {
      auto& [index, found] = *work[static_cast<size_t>(i)];
      found = found_in(p_.plan.constants[static_cast<size_t>(index)]);
    });
    visit(p_.plan.steps, [&](Step& s) { mark(s); });
    if (!marked_.empty()) drop_unused(p_);
  }

 private:
  template <class F>
  void visit(std::vector<Step>& steps, const F& fn) {
    for (Step& s : steps) {
      visit(s.body, fn), visit(s.other, fn);
      if (s.kind == StepKind::Call && proofs_[static_cast<size_t>(s.kernel)]) fn(s);
    }
  }

  // The constant that an operand is; -1: none.
  int constant(const Step& s, int32_t operand) const {
    const int buffer = s.args[static_cast<size_t>(operand)].buffer;
    const Buffer& b = p_.plan.buffers[static_cast<size_t>(buffer)];
    return b.kind == BufferKind::Constant ? b.index : -1;
  }

  void gather(const Step& s) {
    const Excluded& excluded = *proofs_[static_cast<size_t>(s.kernel)];
    for (const auto& [operand, elements] : excluded)
      if (constant(s, operand) < 0) return;
    for (const auto& [operand, elements] : excluded) constants_[constant(s, operand)];
  }

  bool holds(const Step& s) const {
    return std::ranges::all_of(*proofs_[static_cast<size_t>(s.kernel)], [&](const auto& d) {
      const auto at = constants_.find(constant(s, d.first));
      return at != constants_.end() && !(d.second.infinite && at->second.infinite) &&
             !(d.second.minus_zero && at->second.minus_zero);
    });
  }

  void mark(Step& s) {
    if (!holds(s)) return;
    const auto [known, is_new] = marked_.try_emplace(s.kernel, -1);
    if (is_new) {
      Kernel k = p_.kernel_of(s);
      k.reductions[0].padded = true;
      known->second = p_.add(std::move(k), p_.schedules[static_cast<size_t>(s.kernel)]);
    }
    s.kernel = known->second;
  }

  Program& p_;
  std::vector<std::optional<Excluded>> proofs_;  // by kernel
  std::map<int, Elements> constants_;            // what is found in them
  std::map<int, int> marked_;                    // kernels
};

}  // namespace

void mark_padding(Program& p, const Target&, const ParallelFor& parallel) {
  Marking(p).run(parallel);
}

}  // namespace lathe
