#include "ir/pair_product.h"

#include <algorithm>

namespace lathe {
namespace {

class Finder {
 public:
  Finder(const Kernel& k, SymbolId n)
      : k_(k),
        n_(n),
        second_(k.red_symbol(static_cast<int>(k.red.size()) - 1)),
        pair_(second_ - 1),
        step_(IndexExpr(1) + IndexExpr::symbol(pair_) * 2 + IndexExpr::symbol(second_) * -1) {}

  std::optional<PairProduct> find() {
    PairProduct p;
    p.a = k_.reductions[0].a, p.b = k_.reductions[0].b;
    if (k_.pre != 2 || p.a == p.b || !is_factor(p.a) || !is_factor(p.b)) return std::nullopt;
    if (offset(p.a).coefficient(n_) != 0) std::swap(p.a, p.b);
    const bool odd = last_may_miss(p.a);
    p.steps = 2 * k_.red[k_.red.size() - 2] - odd;
    if (!is_a(p.a) || !is_b(p, odd)) return std::nullopt;
    return p;
  }

 private:
  const Instr& load(ScalarId id) const { return k_.body[static_cast<size_t>(id)]; }
  const IndexExpr& offset(ScalarId id) const { return load(id).access.offset; }
  bool is_affine(const IndexExpr& e) const {
    return e.terms.empty() || e.terms.back().symbol < k_.derived_symbol(0);
  }

  bool is_factor(ScalarId id) const {
    const Instr& in = load(id);
    return in.op == Scalar::Load && in.access.indirect.empty() && is_affine(in.access.offset) &&
           k_.operands[static_cast<size_t>(in.access.operand)].dtype == DType::bf16;
  }

  bool is_missing_step(GuardId id) const {
    const Guard& g = k_.guards[static_cast<size_t>(id)];
    return g.index == step_ && g.multiple_of == 1 && g.limit == 2 * k_.red[k_.red.size() - 2] - 1;
  }
  bool last_may_miss(ScalarId id) const {
    return std::ranges::any_of(load(id).guards, [&](GuardId g) { return is_missing_step(g); });
  }

  bool is_a(ScalarId a) const {
    const auto outer = [&](GuardId g) {
      const IndexExpr& e = k_.guards[static_cast<size_t>(g)].index;
      return is_affine(e) && e.coefficient(n_) == 0 && e.coefficient(pair_) == 0 &&
             e.coefficient(second_) == 0;
    };
    return offset(a).coefficient(n_) == 0 && offset(a).coefficient(second_) == -1 &&
           offset(a).coefficient(pair_) == 2 && std::ranges::all_of(load(a).guards, [&](GuardId g) {
             return is_missing_step(g) || outer(g);
           });
  }

  // Interleaved, a missing step lies there as zeros.
  bool is_b(PairProduct& p, bool odd) const {
    const IndexExpr& at = offset(p.b);
    const auto missing = [&](GuardId g) { return is_missing_step(g); };
    if (!std::ranges::all_of(load(p.b).guards, missing) || at.coefficient(n_) == 0) return false;
    p.step = -at.coefficient(second_);
    p.interleaved = p.step == 1 && at.coefficient(n_) == 2 && load(p.b).guards.empty();
    return p.interleaved ||
           (at.coefficient(pair_) == 2 * p.step && load(p.b).guards.empty() == !odd);
  }

  const Kernel& k_;
  const SymbolId n_, second_, pair_;
  const IndexExpr step_;
};

}  // namespace

std::optional<PairProduct> pair_product(const Kernel& k, SymbolId n) {
  if (k.core != Core::Reduce || k.order != Order::Sequential || k.reductions.size() != 1 ||
      k.reductions[0].combine != Combine::FmaFlush || k.red.size() < 2 || k.red.back() != 2 ||
      k.steps() == 0 || n < 0 || n >= std::ssize(k.par))
    return std::nullopt;
  return Finder(k, n).find();
}

}  // namespace lathe
