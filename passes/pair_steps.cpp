#include <algorithm>

#include "passes/kernel_passes.h"

namespace lathe {
namespace {

class Pairing {
 public:
  explicit Pairing(Kernel& k)
      : k_(k), last_(k.red_symbol(static_cast<int>(k.red.size()) - 1)), steps_(k.red.back()) {}

  void run() {
    k_.red.back() = (steps_ + 1) / 2;
    k_.red.push_back(2);
    for (DerivedSymbol& d : k_.derived) pair(d.numerator);
    for (Guard& g : k_.guards) pair(g.index);
    for (Instr& in : k_.body) pair(in.index), pair(in.access.offset);
    for (Store& s : k_.stores) pair(s.access.offset);
    if (steps_ % 2 != 0) guard_missing();
  }

 private:
  // Step 2 p + 1 - i, of pair p and i in {0, 1}; symbols behind the new iv move up.
  void pair(IndexExpr& e) const {
    IndexExpr out(e.constant);
    for (const IndexTerm& t : e.terms) {
      const SymbolId s = t.symbol > last_ ? t.symbol + 1 : t.symbol;
      if (t.symbol == last_) out = out + step() * t.coefficient;
      else out = out + IndexExpr::symbol(s) * t.coefficient;
    }
    e = std::move(out);
  }
  IndexExpr step() const {
    return IndexExpr(1) + IndexExpr::symbol(last_) * 2 + IndexExpr::symbol(last_ + 1) * -1;
  }

  void guard_missing() {
    const auto there = static_cast<GuardId>(k_.guards.size());
    k_.guards.push_back({step(), steps_});
    for (int32_t i = 0; i < k_.pre; ++i) {
      Instr& in = k_.body[static_cast<size_t>(i)];
      if (in.op == Scalar::Load) in.guards.push_back(there);
    }
    for (Reduction& r : k_.reductions) r.a = or_zero(r.a, there), r.b = or_zero(r.b, there);
  }

  // A load already is 0 where its guards fail.
  ScalarId or_zero(ScalarId factor, GuardId there) {
    if (k_.body[static_cast<size_t>(factor)].op == Scalar::Load) return factor;
    Instr test, zero, select;
    test.op = Scalar::GuardTest, test.type = DType::boolean, test.guards = {there};
    zero.op = Scalar::Const;
    select.op = Scalar::Select;
    select.args = {k_.pre, factor, k_.pre + 1};
    for (Instr* in : {&test, &zero, &select}) insert(std::move(*in));
    return k_.pre - 1;
  }

  // At the end of the first part.
  void insert(Instr in) {
    const ScalarId at = k_.pre++;
    const auto renumber = [at](ScalarId& id) { id += id >= at; };
    k_.body.insert(k_.body.begin() + at, std::move(in));
    for (auto later = k_.body.begin() + at + 1; later != k_.body.end(); ++later) {
      for (ScalarId& id : later->args) renumber(id);
      for (IndirectTerm& t : later->access.indirect) renumber(t.value);
    }
    for (Store& s : k_.stores) {
      renumber(s.value);
      for (IndirectTerm& t : s.access.indirect) renumber(t.value);
    }
  }

  Kernel& k_;
  const SymbolId last_;
  const int64_t steps_;
};

}  // namespace

void pair_steps(Kernel& k) {
  if (k.core != Core::Reduce || k.red.empty() || k.steps() == 0) return;
  const auto flushes = [](const Reduction& r) { return r.combine == Combine::FmaFlush; };
  if (!k.reductions.empty() && std::ranges::all_of(k.reductions, flushes)) Pairing(k).run();
}

}  // namespace lathe
