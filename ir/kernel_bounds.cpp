#include "ir/kernel_bounds.h"

#include <algorithm>

namespace lathe {
namespace {

constexpr int64_t kCoefficientLimit = int64_t{1} << 50;  // sums of products then fit 128 bits
constexpr int kBudget = 400;                             // forms tried for one expression
constexpr int64_t kAnything = int64_t{1} << 62;          // no index expression goes beyond

__int128 floor_div(__int128 a, int64_t b) { return a / b - (a % b != 0 && a < 0 ? 1 : 0); }

Interval intersect(Interval a, Interval b) { return {std::max(a.lo, b.lo), std::min(a.hi, b.hi)}; }

}  // namespace

struct IndexBounds::Search {
  const IndexBounds& bounds;
  Interval goal, best;
  int budget = kBudget;

  bool done() const { return budget <= 0 || best.inside(goal); }

  // e + t * identity, where t cancels variable v; false where no integer does or numbers grow.
  static bool cancel(Linear& e, const Linear& identity, size_t v) {
    const int64_t q = identity.coefficients[v], c = e.coefficients[v];
    if (q == 0 || c == 0 || c % q != 0) return false;
    const __int128 t = -(c / q);
    const auto add = [t](int64_t& x, int64_t y) {
      const __int128 sum = x + t * y;
      x = static_cast<int64_t>(sum);
      return -kCoefficientLimit <= sum && sum <= kCoefficientLimit;
    };
    bool fits = add(e.constant, identity.constant);
    for (size_t i = 0; i < e.coefficients.size(); ++i)
      fits = add(e.coefficients[i], identity.coefficients[i]) && fits;
    return fits;
  }

  void run(const Linear& e, size_t first_identity) {
    --budget;
    best = intersect(best, bounds.plain(e));
    for (size_t i = first_identity; i < bounds.identities_.size() && !done(); ++i)
      for (size_t v = 0; v < e.coefficients.size() && !done(); ++v) {
        Linear next = e;
        if (cancel(next, bounds.identities_[i], v)) run(next, i + 1);
      }
  }
};

IndexBounds::IndexBounds(const Kernel& k, std::span<const GuardId> guards) : k_(k) {
  // What comes after an empty reduction space is evaluated with its ivs at 0.
  for (const Dims* dims : {&k.par, &k.red})
    for (int64_t extent : *dims) variables_.push_back({0, std::max<int64_t>(extent - 1, 0)});
  const size_t symbols = static_cast<size_t>(k.symbol_count());
  variables_.resize(symbols + k.derived.size() + guards.size());
  for (size_t i = 0; i < k.derived.size(); ++i)
    variables_[symbols + i] = {0, k.derived[i].divisor - 1};
  for (size_t i = 0; i < guards.size(); ++i) {
    const Guard& g = k.guards[static_cast<size_t>(guards[i])];
    variables_[symbols + k.derived.size() + i] = {0, (g.limit - 1) / g.multiple_of};
  }
  add_identities(guards);
  // Until it is bounded, a derived symbol that an identity brings in may be anything.
  for (size_t i = 0; i < k.derived.size(); ++i)
    variables_[static_cast<size_t>(k.derived_symbol(static_cast<int>(i)))] = {-kAnything,
                                                                              kAnything};
  for (size_t i = 0; i < k.derived.size(); ++i) {
    const DerivedSymbol& d = k.derived[i];
    Interval n = of(d.numerator);
    for (GuardId g : guards)
      if (k.guards[static_cast<size_t>(g)].index == d.numerator)
        n = intersect(n, {0, k.guards[static_cast<size_t>(g)].limit - 1});
    Interval& s = variables_[static_cast<size_t>(k.derived_symbol(static_cast<int>(i)))];
    s = intersect(s, {floor_div(n.lo, d.divisor), floor_div(n.hi, d.divisor)});
  }
}

// Guards come before and after the derived symbols: their indices may be written in either terms.
void IndexBounds::add_identities(std::span<const GuardId> guards) {
  const size_t symbols = static_cast<size_t>(k_.symbol_count());
  std::vector<Linear> of_guards;
  for (size_t i = 0; i < guards.size(); ++i) {
    const Guard& g = k_.guards[static_cast<size_t>(guards[i])];
    Linear e = linear(g.index * -1);
    e.coefficients[symbols + k_.derived.size() + i] = g.multiple_of;
    of_guards.push_back(e);
  }
  identities_ = of_guards;
  for (size_t i = k_.derived.size(); i-- > 0;) {
    Linear e = linear(k_.derived[i].numerator * -1);
    e.coefficients[static_cast<size_t>(k_.derived_symbol(static_cast<int>(i)))] +=
        k_.derived[i].divisor;
    e.coefficients[symbols + i] = 1;
    identities_.push_back(e);
  }
  identities_.insert(identities_.end(), of_guards.begin(), of_guards.end());
}

IndexBounds::Linear IndexBounds::linear(const IndexExpr& e) const {
  Linear out{e.constant, std::vector<int64_t>(variables_.size(), 0)};
  for (const IndexTerm& t : e.terms)
    out.coefficients[static_cast<size_t>(t.symbol)] += t.coefficient;
  return out;
}

Interval IndexBounds::plain(const Linear& e) const {
  Interval out{e.constant, e.constant};
  for (size_t i = 0; i < e.coefficients.size(); ++i) {
    const __int128 c = e.coefficients[i];
    out.lo += c * (c >= 0 ? variables_[i].lo : variables_[i].hi);
    out.hi += c * (c >= 0 ? variables_[i].hi : variables_[i].lo);
  }
  return out;
}

Interval IndexBounds::of(const IndexExpr& e, Interval goal) const {
  const Linear start = linear(e);
  Search search{*this, goal, plain(start)};
  if (!identities_.empty()) search.run(start, 0);
  return search.best;
}

}  // namespace lathe
