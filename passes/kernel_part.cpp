#include "passes/kernel_part.h"

#include <algorithm>

namespace lathe {
namespace {

void without(IndexExpr& e, SymbolId iv) {
  std::erase_if(e.terms, [&](const IndexTerm& t) { return t.symbol == iv; });
  for (IndexTerm& t : e.terms)
    if (t.symbol > iv) --t.symbol;
}

}  // namespace

std::optional<std::vector<int64_t>> steps_along(const Kernel& k, SymbolId iv) {
  const auto depends = [&](const IndexExpr& e) { return e.coefficient(iv) != 0; };
  for (const DerivedSymbol& d : k.derived)
    if (depends(d.numerator)) return std::nullopt;
  for (const Guard& g : k.guards)
    if (depends(g.index)) return std::nullopt;
  for (const Instr& in : k.body)
    if (depends(in.index)) return std::nullopt;
  std::vector<std::optional<int64_t>> steps(k.operands.size());
  bool plain = true;
  for_each_access(k, [&](const Access& a) {
    std::optional<int64_t>& step = steps[static_cast<size_t>(a.operand)];
    const int64_t here = a.offset.coefficient(iv);
    plain = plain && a.indirect.empty() && step.value_or(here) == here;
    step = here;
  });
  if (!plain) return std::nullopt;
  std::vector<int64_t> out;
  for (const std::optional<int64_t>& step : steps) out.push_back(step.value_or(0));
  return out;
}

Kernel first_values(Kernel k, SymbolId iv, int64_t count) {
  const int64_t less = k.par[static_cast<size_t>(iv)] - count;
  std::vector<int64_t> steps(k.operands.size(), 0);
  for_each_access(k, [&](const Access& a) {
    steps[static_cast<size_t>(a.operand)] = a.offset.coefficient(iv);
  });
  for (size_t i = 0; i < steps.size(); ++i) k.operands[i].size -= steps[i] * less;
  if (count > 1) {
    k.par[static_cast<size_t>(iv)] = count;
    return k;
  }
  k.par.erase(k.par.begin() + iv);
  for (DerivedSymbol& d : k.derived) without(d.numerator, iv);
  for (Guard& g : k.guards) without(g.index, iv);
  for (Instr& in : k.body) without(in.index, iv);
  for_each_access(k, [&](Access& a) { without(a.offset, iv); });
  return k;
}

}  // namespace lathe
