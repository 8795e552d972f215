#include "backends/simd/canonical.h"

namespace lathe::simd {
namespace {

template <class F>
void each_expression(Kernel& k, F&& visit) {
  for (DerivedSymbol& d : k.derived) visit(d.numerator);
  for (Guard& g : k.guards) visit(g.index);
  for (Instr& in : k.body) {
    visit(in.index);
    visit(in.access.offset);
  }
  for (Store& s : k.stores) visit(s.access.offset);
}

void drop_symbol(Kernel& k, SymbolId dropped) {
  each_expression(k, [&](IndexExpr& e) {
    std::vector<IndexTerm> kept;
    for (IndexTerm t : e.terms) {
      if (t.symbol == dropped) continue;
      if (t.symbol > dropped) --t.symbol;
      kept.push_back(t);
    }
    e.terms = std::move(kept);
  });
  const auto par = static_cast<SymbolId>(k.par.size());
  if (dropped < par) k.par.erase(k.par.begin() + dropped);
  else k.red.erase(k.red.begin() + (dropped - par));
}

// Whether iv `outer` and the next one advance every expression as one iv would.
bool joinable(Kernel& k, SymbolId outer, int64_t inner_extent) {
  bool ok = true;
  each_expression(k, [&](IndexExpr& e) {
    ok &= e.coefficient(outer) == inner_extent * e.coefficient(outer + 1);
  });
  return ok;
}

void shrink_par(Canonical& c) {
  Kernel& k = c.kernel;
  for (int i = static_cast<int>(k.par.size()); i-- > 0;) {
    if (k.par[static_cast<size_t>(i)] != 1 || i == c.parallel) continue;
    drop_symbol(k, i);
    if (c.parallel > i) --c.parallel;
  }
  for (int i = static_cast<int>(k.par.size()) - 1; i-- > 0;) {
    const int64_t inner = k.par[static_cast<size_t>(i) + 1];
    if (c.parallel == i + 1 || !joinable(k, i, inner)) continue;
    if (c.parallel == i) c.scale *= inner;
    k.par[static_cast<size_t>(i) + 1] *= k.par[static_cast<size_t>(i)];
    drop_symbol(k, i);
    if (c.parallel > i) --c.parallel;
  }
}

// `Lanes` is defined by the last reduction iv, which therefore stays as it is.
void shrink_red(Kernel& k) {
  const int fixed = k.order == Order::Lanes ? 1 : 0;
  const auto count = [&] { return static_cast<int>(k.red.size()) - fixed; };
  for (int i = count(); i-- > 0;)
    if (k.red[static_cast<size_t>(i)] == 1 && k.red.size() > 1) drop_symbol(k, k.red_symbol(i));
  for (int i = count() - 1; i-- > 0;) {
    const int64_t inner = k.red[static_cast<size_t>(i) + 1];
    if (!joinable(k, k.red_symbol(i), inner)) continue;
    k.red[static_cast<size_t>(i) + 1] *= k.red[static_cast<size_t>(i)];
    drop_symbol(k, k.red_symbol(i));
  }
}

}  // namespace

Canonical canonicalize(const Kernel& k, const KernelSchedule& s) {
  Canonical c{k, s.parallel, 1};
  shrink_par(c);
  shrink_red(c.kernel);
  return c;
}

}  // namespace lathe::simd
