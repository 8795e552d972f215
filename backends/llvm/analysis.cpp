#include "backends/llvm/analysis.h"

#include <algorithm>

namespace lathe::codegen {
namespace {

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && a < 0 ? 1 : 0); }

}  // namespace

Analysis::Analysis(const Kernel& kernel) : k(kernel) {
  const auto iv = [&](int64_t extent) {
    symbols.push_back(iv_bit(static_cast<SymbolId>(symbols.size())));
    ranges.push_back({0, std::max<int64_t>(extent - 1, 0)});
  };
  for (int64_t e : k.par) iv(e);
  for (int64_t e : k.red) iv(e);
  for (const DerivedSymbol& d : k.derived) {
    symbols.push_back(of(d.numerator));
    const Range r = range(d.numerator);
    ranges.push_back({floor_div(r.low, d.divisor), floor_div(r.high, d.divisor)});
  }
  for (const Guard& g : k.guards) guards.push_back(of(g.index));

  std::vector<bool> written(k.operands.size(), false);
  for (const Store& s : k.stores) written[static_cast<size_t>(s.access.operand)] = true;
  for (const Instr& in : k.body) {
    IvSet set = 0;
    for (ScalarId a : in.args)
      if (a >= 0) set |= instrs[static_cast<size_t>(a)];
    for (GuardId g : in.guards) set |= guards[static_cast<size_t>(g)];
    if (in.op == Scalar::IndexValue) set |= of(in.index);
    if (in.op == Scalar::Acc) set |= kAcc;
    if (in.op == Scalar::Load) {
      set |= of(in.access);
      const auto operand = static_cast<size_t>(in.access.operand);
      if (written[operand] || k.operands[operand].role != OperandRole::In) set |= kPinned;
    }
    instrs.push_back(set);
  }
}

IvSet Analysis::of(const IndexExpr& e) const {
  IvSet set = 0;
  for (const IndexTerm& t : e.terms) set |= symbols[static_cast<size_t>(t.symbol)];
  return set;
}

IvSet Analysis::of(const Access& a) const {
  IvSet set = of(a.offset);
  for (const IndirectTerm& t : a.indirect) set |= instrs[static_cast<size_t>(t.value)];
  return set;
}

Range Analysis::range(const IndexExpr& e) const {
  Range out{e.constant, e.constant};
  for (const IndexTerm& t : e.terms) {
    const Range& r = ranges[static_cast<size_t>(t.symbol)];
    out.low += t.coefficient * (t.coefficient > 0 ? r.low : r.high);
    out.high += t.coefficient * (t.coefficient > 0 ? r.high : r.low);
  }
  return out;
}

}  // namespace lathe::codegen
