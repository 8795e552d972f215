#include <algorithm>
#include <cstdlib>

#include "passes/kernel_passes.h"

namespace lathe {
namespace {

template <class F>
void for_each_index_expr(Kernel& k, F&& fn) {
  for (DerivedSymbol& d : k.derived) fn(d.numerator);
  for (Guard& g : k.guards) fn(g.index);
  for (Instr& i : k.body) fn(i.index), fn(i.access.offset);
  for (Store& s : k.stores) fn(s.access.offset);
}

// Removes symbol s (whose value is 0, or which another one has absorbed) and closes the gap.
void erase_symbol(Kernel& k, SymbolId s) {
  for_each_index_expr(k, [&](IndexExpr& e) {
    std::erase_if(e.terms, [&](const IndexTerm& t) { return t.symbol == s; });
    for (IndexTerm& t : e.terms)
      if (t.symbol > s) --t.symbol;
  });
}

// extents[i] belongs to symbol first + i.
void canonicalize(Kernel& k, Dims& extents, SymbolId first) {
  for (size_t i = extents.size(); i-- > 0;)
    if (extents[i] == 1) {
      erase_symbol(k, first + static_cast<SymbolId>(i));
      extents.erase(extents.begin() + static_cast<int64_t>(i));
    }
  for (size_t i = extents.size(); i-- > 1;) {
    const SymbolId inner = first + static_cast<SymbolId>(i), outer = inner - 1;
    bool mergeable = true;
    for_each_index_expr(k, [&](IndexExpr& e) {
      mergeable = mergeable && e.coefficient(outer) == e.coefficient(inner) * extents[i];
    });
    if (!mergeable) continue;
    extents[i] *= extents[i - 1];
    extents.erase(extents.begin() + static_cast<int64_t>(i) - 1);
    erase_symbol(k, outer);
  }
}

// Gives the reduction ivs a new order: order[i] is the old place of what becomes iv i.
void permute_reduction(Kernel& k, const std::vector<int>& order) {
  const Dims old = k.red;
  std::vector<SymbolId> renamed(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    k.red[i] = old[static_cast<size_t>(order[i])];
    renamed[static_cast<size_t>(order[i])] = k.red_symbol(static_cast<int>(i));
  }
  const SymbolId first = k.red_symbol(0), end = k.derived_symbol(0);
  for_each_index_expr(k, [&](IndexExpr& e) {
    IndexExpr out(e.constant);
    for (const IndexTerm& t : e.terms) {
      const bool red = t.symbol >= first && t.symbol < end;
      const SymbolId s = red ? renamed[static_cast<size_t>(t.symbol - first)] : t.symbol;
      out = out + IndexExpr::symbol(s) * t.coefficient;
    }
    e = std::move(out);
  });
}

}  // namespace

void order_reduction(Kernel& k) {
  if (k.core != Core::Reduce || k.red.size() < 2) return;
  std::vector<int> order;
  for (int i = 0; i < std::ssize(k.red); ++i) order.push_back(i);
  const auto stride = [&](const Instr& load, int i) {
    return std::abs(load.access.offset.coefficient(k.red_symbol(i)));
  };
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
    for (int32_t i = 0; i < k.pre; ++i) {
      const Instr& load = k.body[static_cast<size_t>(i)];
      if (load.op != Scalar::Load || stride(load, a) == stride(load, b)) continue;
      return stride(load, a) > stride(load, b);
    }
    return false;
  });
  if (!std::is_sorted(order.begin(), order.end())) permute_reduction(k, order);
}

void canonicalize_reduction(Kernel& k) {
  // A reduction space of one point stays a reduction: its iv is kept.
  if (k.core == Core::Map || k.steps() == 1) return;
  canonicalize(k, k.red, static_cast<SymbolId>(k.par.size()));
}

void canonicalize_parallel(Kernel& k) { canonicalize(k, k.par, 0); }

void choose_order(Kernel& k) {
  k.order = Order::Sequential;
  if (k.core != Core::Reduce || k.red.empty()) return;
  const SymbolId last = k.red_symbol(static_cast<int>(k.red.size()) - 1);
  const auto par_count = static_cast<SymbolId>(k.par.size());
  bool walks = false;
  std::vector<bool> varies(static_cast<size_t>(par_count), false);
  for (int32_t i = 0; i < k.pre; ++i) {
    const Instr& instr = k.body[static_cast<size_t>(i)];
    if (instr.op != Scalar::Load) continue;
    if (!instr.access.indirect.empty()) return;
    // What all of the reduction shares, such as a row's mean, says nothing of its order.
    if (std::ranges::all_of(instr.access.offset.terms,
                            [&](const IndexTerm& t) { return t.symbol < par_count; }))
      continue;
    const int64_t step = instr.access.offset.coefficient(last);
    if (step == 1) walks = true;
    else if (step != 0) return;
    for (const IndexTerm& t : instr.access.offset.terms) {
      if (t.symbol < par_count && t.coefficient == 1) return;
      if (t.symbol > last) return;
    }
  }
  if (!walks) return;
  // A product of two matrices is summed in sequence: its kernels keep one accumulator an element.
  for (const Reduction& r : k.reductions) {
    if (r.combine == Combine::FmaFlush) return;
    if (r.combine != Combine::Fma) continue;
    const auto symbols = [&](ScalarId root) {
      std::vector<bool> mark(k.body.size(), false), out(static_cast<size_t>(par_count), false);
      mark[static_cast<size_t>(root)] = true;
      for (size_t i = static_cast<size_t>(root) + 1; i-- > 0;) {
        if (!mark[i]) continue;
        for (ScalarId a : k.body[i].args)
          if (a >= 0) mark[static_cast<size_t>(a)] = true;
        for (const IndexTerm& t : k.body[i].access.offset.terms)
          if (t.symbol < par_count) out[static_cast<size_t>(t.symbol)] = true;
      }
      return out;
    };
    const auto a = symbols(r.a), b = symbols(r.b);
    bool only_a = false, only_b = false;
    for (size_t i = 0; i < a.size(); ++i) only_a |= a[i] && !b[i], only_b |= b[i] && !a[i];
    if (only_a && only_b) return;
  }
  k.order = Order::Lanes;
}

}  // namespace lathe
