// Chooses the vector iv by a rough cost of each candidate, in nanoseconds a point of the parallel
// space.
#include <algorithm>
#include <cstdlib>

#include "backends/simd/plan.h"

namespace lathe::simd {
namespace {

constexpr double kDispatch = 8;       // one step, whatever the tile's length
constexpr double kContiguous = 0.06;  // one element
constexpr double kStrided = 0.6;
constexpr double kIndirect = 1.5;
constexpr double kElementGuard = 2.0;
constexpr double kOrderedFold = 1.2;
constexpr double kTypicalTile = 256;

class Cost {
 public:
  Cost(const Kernel& k, SymbolId v, double extent) : k_(k), v_(v) {
    share_ = kDispatch / std::clamp(extent, 1.0, kTypicalTile);
    for (const DerivedSymbol& d : k.derived) derived_varies_.push_back(step(d.numerator) != 0);
    for (const Instr& in : k.body) varies_.push_back(instruction_varies(in));
  }

  double total(bool along_reduction) const {
    const double steps = static_cast<double>(std::max<int64_t>(k_.steps(), 1));
    double pre = 0, post = 0;
    for (size_t i = 0; i < k_.body.size(); ++i)
      (static_cast<int32_t>(i) < k_.pre ? pre : post) += instruction(i);
    double fold = static_cast<double>(k_.reductions.size()) * (kContiguous + share_);
    if (along_reduction && k_.order == Order::Sequential)
      fold += static_cast<double>(k_.reductions.size()) * kOrderedFold;
    double stores = 0;
    for (const Store& s : k_.stores) stores += share_ + access(s.access, {});
    if (k_.core == Core::Map) return pre + post + stores;
    if (k_.core != Core::Reduce) return steps * (pre + fold + post + stores);
    if (along_reduction)
      post = kDispatch * static_cast<double>(k_.body.size() - static_cast<size_t>(k_.pre) + 4),
      stores = kDispatch * static_cast<double>(k_.stores.size());
    return steps * (pre + fold) + post + stores;
  }

 private:
  // Elements advanced by one step of the iv; 2 stands for "irregular".
  int64_t step(const IndexExpr& e) const {
    int64_t s = e.coefficient(v_);
    for (const IndexTerm& t : e.terms) {
      const int d = t.symbol - k_.derived_symbol(0);
      if (d >= 0 && derived_varies_[static_cast<size_t>(d)]) s = kIrregular;
    }
    return s;
  }
  bool instruction_varies(const Instr& in) const {
    bool v = step(in.index) != 0 || step(in.access.offset) != 0;
    for (const IndirectTerm& t : in.access.indirect) v |= varies_[static_cast<size_t>(t.value)];
    for (GuardId g : in.guards) v |= step(k_.guards[static_cast<size_t>(g)].index) != 0;
    for (ScalarId a : in.args)
      if (a >= 0) v |= varies_[static_cast<size_t>(a)];
    return v || in.op == Scalar::Acc;
  }
  double access(const Access& a, const std::vector<GuardId>& guards) const {
    const int64_t s = step(a.offset);
    double cost = s == 0 ? 0 : s == 1 ? kContiguous : s == kIrregular ? kIndirect : kStrided;
    for (const IndirectTerm& t : a.indirect)
      if (varies_[static_cast<size_t>(t.value)]) cost = kIndirect;
    for (GuardId id : guards) {
      const Guard& g = k_.guards[static_cast<size_t>(id)];
      const int64_t gs = step(g.index);
      if (gs == kIrregular || gs % g.multiple_of != 0) cost += kElementGuard;
    }
    return cost;
  }
  double instruction(size_t i) const {
    const Instr& in = k_.body[i];
    if (in.op == Scalar::Const || in.op == Scalar::Acc) return 0;
    if (!varies_[i]) return share_;
    return share_ + (in.op == Scalar::Load ? access(in.access, in.guards) : kContiguous);
  }

  static constexpr int64_t kIrregular = INT64_MAX;
  const Kernel& k_;
  SymbolId v_;
  double share_;
  std::vector<bool> derived_varies_, varies_;
};

}  // namespace

SymbolId choose_vector(const Kernel& k, int parallel) {
  SymbolId best = -1;
  double least = 0;
  const auto consider = [&](SymbolId v, double extent, bool along_reduction) {
    const double cost = Cost(k, v, extent).total(along_reduction);
    if (best < 0 || cost < least) best = v, least = cost;
  };
  for (int i = static_cast<int>(k.par.size()); i-- > 0;) {
    const auto extent = static_cast<double>(k.par[static_cast<size_t>(i)]);
    if (extent > 1) consider(i, i == parallel ? extent / 2 : extent, false);
  }
  if (k.core == Core::Reduce && !k.red.empty() && k.red.back() > 1)
    consider(k.red_symbol(static_cast<int>(k.red.size()) - 1), static_cast<double>(k.red.back()),
             true);
  return best;
}

}  // namespace lathe::simd
