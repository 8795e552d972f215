#include "backends/simd/chains.h"

#include <algorithm>
#include <optional>

namespace lathe::simd {
namespace {

class Chains {
 public:
  explicit Chains(Plan& p) : p_(p), uses_(p.registers.size(), 0) {
    for (const auto& list : p.lists)
      for (const TileStep& s : list)
        for (const Reg r : s.in) use(r);
    for (const TileAccess& a : p.accesses) use(a.offset);
    for (const TileIndex& x : p.indices) use(x);
    for (const TileGuard& g : p.guards) use(g.index);
    for (const DerivedPlan& d : p.derived) use(d.numerator);
    for (const TileFold& f : p.folds) use(f.acc), use(f.a), use(f.b);
    for (const TileStore& s : p.stores) use(s.value), use(s.access.offset);
  }

  void join(std::vector<TileStep>& list) {
    std::vector<bool> gone(list.size(), false);
    for (size_t i = 0; i < list.size(); ++i) {
      if (gone[i]) continue;
      std::vector<size_t> steps;
      std::vector<PlanLink> links;
      Reg value = first_value(list[i]);
      const Reg x = value;
      for (size_t at = i; at < list.size() && links.size() < kMostLinks;) {
        // A step that another chain has holds the value's register as an operand.
        const auto link = gone[at] ? std::nullopt : link_of(list[at], value);
        if (!link) break;
        steps.push_back(at), links.push_back(*link);
        value = list[at].out;
        if (uses_[static_cast<size_t>(value)] != 1) break;
        const auto takes = [&](const TileStep& s) { return std::ranges::count(s.in, value) > 0; };
        at = static_cast<size_t>(std::ranges::find_if(list, takes) - list.begin());
      }
      if (links.size() < 2) continue;
      TileStep chain;
      chain.kind = TileStep::Kind::Chain;
      chain.varying = true;
      chain.in[0] = x;
      chain.out = list[steps.back()].out;
      chain.item = static_cast<int32_t>(p_.chains.size());
      p_.chains.push_back(std::move(links));
      for (const size_t s : steps) gone[s] = true;
      list[steps.back()] = chain;
      gone[steps.back()] = false;
    }
    size_t kept = 0;
    for (size_t i = 0; i < list.size(); ++i)
      if (!gone[i]) list[kept++] = list[i];
    list.resize(kept);
  }

 private:
  void use(Reg r) {
    if (r >= 0) ++uses_[static_cast<size_t>(r)];
  }
  void use(const TileIndex& x) {
    for (const auto& t : x.scalars) use(t.reg);
    for (const auto& t : x.tiles) use(t.reg);
  }
  bool varying(Reg r) const { return p_.registers[static_cast<size_t>(r)].varying; }

  // The operand that a chain which begins with this step begins with.
  Reg first_value(const TileStep& s) const {
    for (size_t a = 0; a < 3; ++a)
      if (s.in[a] >= 0 && s.links[a] != LinkOp::None && varying(s.in[a])) return s.in[a];
    return -1;
  }

  std::optional<PlanLink> link_of(const TileStep& s, Reg value) const {
    if (s.kind != TileStep::Kind::Compute || !s.varying || value < 0) return std::nullopt;
    const auto at = static_cast<size_t>(std::ranges::find(s.in, value) - s.in);
    if (at == 3 || s.links[at] == LinkOp::None || std::ranges::count(s.in, value) != 1)
      return std::nullopt;
    PlanLink link{s.links[at], {-1, -1}, {false, false}};
    size_t n = 0;
    for (size_t a = 0; a < 3; ++a) {
      if (a == at || s.in[a] < 0) continue;
      link.operands[n] = s.in[a];
      link.varying[n++] = varying(s.in[a]);
    }
    return link;
  }

  Plan& p_;
  std::vector<int> uses_;
};

}  // namespace

std::array<LinkOp, 3> links_of(Scalar op) {
  switch (op) {
    case Scalar::Add: return {LinkOp::Add, LinkOp::Add, LinkOp::None};
    case Scalar::Sub: return {LinkOp::Sub, LinkOp::SubFrom, LinkOp::None};
    case Scalar::Mul: return {LinkOp::Mul, LinkOp::Mul, LinkOp::None};
    case Scalar::Div: return {LinkOp::Div, LinkOp::DivInto, LinkOp::None};
    case Scalar::Max: return {LinkOp::Max, LinkOp::MaxOf, LinkOp::None};
    case Scalar::Min: return {LinkOp::Min, LinkOp::MinOf, LinkOp::None};
    case Scalar::Fma: return {LinkOp::FmaFactor, LinkOp::FmaFactor, LinkOp::FmaSum};
    default: return {};
  }
}

std::array<LinkOp, 3> links_of_choice(Scalar compare, int if_true, int if_false) {
  const bool less = compare == Scalar::Lt;
  if (if_true == 0 && if_false == 1)
    return {less ? LinkOp::IfLess : LinkOp::IfLeast, less ? LinkOp::UnlessMore : LinkOp::UnlessMost,
            LinkOp::None};
  if (if_true == 1 && if_false == 0)
    return {less ? LinkOp::UnlessLess : LinkOp::UnlessLeast, less ? LinkOp::IfMore : LinkOp::IfMost,
            LinkOp::None};
  return {};
}

void join_chains(Plan& p) {
  Chains chains(p);
  for (auto& list : p.lists) chains.join(list);
}

}  // namespace lathe::simd
