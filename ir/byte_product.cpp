#include "ir/byte_product.h"

#include <algorithm>

namespace lathe {
namespace {

class Finder {
 public:
  Finder(const Kernel& k, SymbolId n)
      : k_(k), n_(n), last_(k.red_symbol(static_cast<int>(k.red.size()) - 1)) {}

  std::optional<ByteProduct> find() {
    const Reduction& r = k_.reductions[0];
    ByteProduct p;
    if (!factor(r.a, p.a) || !factor(r.b, p.b)) return std::nullopt;
    if (varies(load(p.a).access.offset, n_)) std::swap(p.a, p.b);
    if (std::ranges::count(used_, true) != k_.pre || !is_a(p.a) || !is_b(p)) return std::nullopt;
    return p;
  }

 private:
  const Instr& instr(ScalarId id) const { return k_.body[static_cast<size_t>(id)]; }
  const Instr& load(const ByteFactor& f) const { return instr(f.load); }

  // Marks what the factor is made of.
  bool factor(ScalarId id, ByteFactor& f) {
    const Instr& cast = use(id);
    if (cast.op != Scalar::Cast || is_float(cast.type) || byte_size(cast.type) != 4) return false;
    f.cast = id;
    f.load = cast.args[0];
    const Instr* from = &use(f.load);
    if (from->op == Scalar::Select) {
      const Instr &test = use(from->args[0]), &fill = use(from->args[2]);
      f.load = from->args[1];
      from = &use(f.load);
      if (test.op != Scalar::GuardTest || fill.op != Scalar::Const || test.guards != from->guards)
        return false;
      f.fill = static_cast<int>(fill.integer);
    }
    if (from->op != Scalar::Load || !from->access.indirect.empty()) return false;
    const DType t = k_.operands[static_cast<size_t>(from->access.operand)].dtype;
    f.is_signed = t == DType::i8;
    return (t == DType::i8 || t == DType::u8) && from->type == t;
  }

  const Instr& use(ScalarId id) {
    used_[static_cast<size_t>(id)] = true;
    return instr(id);
  }

  // Derived symbols included.
  bool varies(const IndexExpr& e, SymbolId iv) const {
    return std::ranges::any_of(e.terms, [&](const IndexTerm& t) {
      const int d = t.symbol - k_.derived_symbol(0);
      return t.symbol == iv || (d >= 0 && varies(k_.derived[static_cast<size_t>(d)].numerator, iv));
    });
  }
  bool affine_along(const IndexExpr& e, SymbolId iv) const {
    return std::ranges::none_of(e.terms, [&](const IndexTerm& t) {
      return t.symbol >= k_.derived_symbol(0) && varies(IndexExpr::symbol(t.symbol), iv);
    });
  }

  bool is_a(const ByteFactor& a) const {
    const IndexExpr& at = load(a).access.offset;
    return !varies(at, n_) && at.coefficient(last_) == 1 && affine_along(at, last_) &&
           std::ranges::none_of(load(a).guards, [&](GuardId g) {
             const IndexExpr& index = k_.guards[static_cast<size_t>(g)].index;
             return varies(index, last_) || varies(index, n_);
           });
  }

  bool is_b(ByteProduct& p) const {
    const IndexExpr& at = load(p.b).access.offset;
    if (!load(p.b).guards.empty() || p.b.fill != 0 || at.coefficient(n_) == 0 ||
        !affine_along(at, n_))
      return false;
    const auto derived = std::ranges::find_if(
        at.terms, [&](const IndexTerm& t) { return t.symbol >= k_.derived_symbol(0); });
    if (derived == at.terms.end()) return true;
    const DerivedSymbol& q =
        k_.derived[static_cast<size_t>(derived->symbol - k_.derived_symbol(0))];
    if (derived + 1 != at.terms.end() || !(q.numerator == IndexExpr::symbol(last_)) ||
        at.coefficient(last_) != 1 || at.coefficient(n_) != q.divisor)
      return false;
    p.group = static_cast<int>(q.divisor);
    p.pitch = derived->coefficient + q.divisor;
    p.quotient = derived->symbol;
    return true;
  }

  const Kernel& k_;
  const SymbolId n_, last_;
  std::vector<bool> used_ = std::vector<bool>(k_.body.size(), false);
};

}  // namespace

std::optional<ByteProduct> byte_product(const Kernel& k, SymbolId n) {
  const auto pars = static_cast<SymbolId>(k.par.size());
  if (k.core != Core::Reduce || k.order != Order::Sequential || k.reductions.size() != 1 ||
      k.red.empty() || k.steps() == 0 || n < 0 || n >= pars)
    return std::nullopt;
  const Reduction& r = k.reductions[0];
  if (r.combine != Combine::Fma || is_float(r.type) || byte_size(r.type) != 4) return std::nullopt;
  return Finder(k, n).find();
}

}  // namespace lathe
