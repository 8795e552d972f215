// Simplification: named rewrite rules, applied together until none fires.
//
// The law of the rules: both sides have the same type, and the same value under the semantics of
// ir/README.md to the exactness that the rule states; and every rewrite lowers the measure of the
// graph, so that applying rules ends. Of a rule's two spellings the builder's canonical order takes
// care: rules on commutative ops look at both operands.
#pragma once

#include <map>
#include <span>
#include <string_view>

#include "ir/expr.h"

namespace lathe {

enum class Exactness : uint8_t {
  Bits,         // the same bits, but for the payload and sign of a NaN
  SignOfZero,   // a zero may change its sign; nothing else changes
  Approximate,  // real arithmetic; never applied by `simplify`
};

// The node at which a rule is tried, its operands being in the graph under construction.
struct Site {
  Graph& graph;
  OpId op;
  const Attrs& attrs;
  const TensorType& type;  // of its one result
  const std::vector<Expr>& in;

  template <class T>
  const T& get() const {
    return std::get<T>(attrs);
  }
};

struct Rule {
  std::string_view name;
  std::string_view equation;
  std::optional<Expr> (*apply)(const Site&);
  Exactness exactness = Exactness::Bits;
};

std::span<const Rule> arithmetic_rules();
std::span<const Rule> view_rules();

// How often each rule fired.
using RuleCounts = std::map<std::string_view, int>;

// `rules` to a fixed point, in regions too; dead nodes are dropped.
Graph apply_rules(const Graph& g, std::span<const Rule> rules, RuleCounts* fired = nullptr);

// All rules that are on.
Graph simplify(const Graph& g);

// What every rewrite lowers, compared in this order. Regions count with their nodes.
struct Measure {
  int64_t cost = 0;   // work: elementwise nodes most, sources and broadcasts least
  int64_t size = 0;   // nodes
  int64_t depth = 0;  // sum over nodes of the longest way from a source
  int64_t reads = 0;  // operands
  friend auto operator<=>(const Measure&, const Measure&) = default;
};
Measure measure(const Graph& g);

}  // namespace lathe
