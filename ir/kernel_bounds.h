// What values an index expression of a kernel takes: intervals that are proven, not guessed.
#pragma once

#include <span>
#include <vector>

#include "ir/kernel.h"

namespace lathe {

// Closed; computed exactly in 128 bits, so nothing wraps.
struct Interval {
  __int128 lo = 0, hi = 0;
  bool inside(Interval outer) const { return outer.lo <= lo && hi <= outer.hi; }
};

// Bounds index expressions wherever all of `guards` hold and every iv is inside its extent.
//
// Plain interval arithmetic forgets that i and floor(i/4) move together. Each derived symbol
// s = floor(N/d) is therefore an identity d*s + m - N = 0 with a remainder m in [0, d), each guard
// an identity multiple*g - index = 0 with g in [0, (limit-1)/multiple]; multiples of them that
// cancel a symbol are added to the expression, and every form so reached bounds it.
// Preconditions: symbols are in range, coefficients and constants below 2^48 in size, and the
// numerators of derived symbols below 2^62 in size.
class IndexBounds {
 public:
  explicit IndexBounds(const Kernel& k, std::span<const GuardId> guards = {});

  // Stops early where the expression is proven to lie inside `goal`.
  Interval of(const IndexExpr& e, Interval goal) const;
  Interval of(const IndexExpr& e) const { return of(e, Interval{1, 0}); }
  // By plain interval arithmetic: also bounds the partial sums of a left-to-right evaluation.
  Interval coarse(const IndexExpr& e) const { return plain(linear(e)); }

 private:
  // constant + sum coefficients[i] * variable i; variables are the kernel's symbols, then the
  // remainders, then the guards' quotients.
  struct Linear {
    int64_t constant = 0;
    std::vector<int64_t> coefficients;
  };
  struct Search;

  Linear linear(const IndexExpr& e) const;
  Interval plain(const Linear& e) const;
  void add_identities(std::span<const GuardId> guards);

  const Kernel& k_;
  std::vector<Interval> variables_;
  std::vector<Linear> identities_;  // each is zero
};

}  // namespace lathe
