// What a gradient hook sees: the vector-Jacobian product of one node.
//
// Hooks are written with Exprs of the graph under construction; they may use operands, results and
// the results' cotangents, and call `give` once or more for each operand that has a gradient.
#pragma once

#include <functional>

#include "ir/expr.h"

namespace lathe {

// The reverse-mode derivative of a closed graph, itself two closed graphs (see passes/autodiff.h):
//   forward   same inputs; outputs = the graph's own, then `saved` values
//   backward  inputs = cotangents of the float outputs in order, then the saved values, then the
//             graph's inputs; outputs = one cotangent for each input listed in `wanted`
struct RegionGradient {
  Region forward;
  Region backward;
  std::vector<int> float_outputs;  // the outputs that have cotangents
  int saved = 0;
};
using DifferentiateRegion = RegionGradient (*)(const Graph& region,
                                               const std::vector<bool>& wanted);

class Vjp {
 public:
  Vjp(Graph& g, uint32_t node_id, std::vector<Expr> cotangents, std::vector<bool> wanted,
      DifferentiateRegion differentiate)
      : differentiate_region(differentiate),
        graph_(&g),
        id_(node_id),
        cotangents_(std::move(cotangents)),
        wanted_(std::move(wanted)),
        given_(wanted_.size()) {}

  Graph& graph() { return *graph_; }
  // A copy: adding nodes may move the graph's storage.
  Node node() const { return graph_->nodes()[id_]; }
  template <class T>
  T attrs() const {
    return std::get<T>(graph_->nodes()[id_].attrs);
  }
  Expr in(int i) const { return {graph_, graph_->nodes()[id_].operands[static_cast<size_t>(i)]}; }
  Expr out(int r = 0) const { return {graph_, {id_, static_cast<uint32_t>(r)}}; }

  // The cotangent of result r; zeros where nothing depends on it.
  Expr g(int r = 0) const {
    const Expr& c = cotangents_[static_cast<size_t>(r)];
    return c.defined() ? c : full_like(out(r), 0);
  }
  bool has_g(int r) const { return cotangents_[static_cast<size_t>(r)].defined(); }
  // False for integer operands and for those whose gradient nobody asked for: skip the work.
  bool wants(int i) const { return wanted_[static_cast<size_t>(i)]; }
  // Adds to operand i's cotangent; has the operand's type. Ignored where !wants(i).
  void give(int i, const Expr& cotangent) {
    if (!wants(i)) return;
    Expr& slot = given_[static_cast<size_t>(i)];
    slot = slot.defined() ? add(slot, cotangent) : cotangent;
  }
  // Control ops: the primal results are to be taken from this other node from now on (a scan that
  // also saves what its backward pass needs).
  void replace_results(std::vector<Expr> results) { replaced_ = std::move(results); }

  const std::vector<Expr>& given() const { return given_; }
  const std::vector<Expr>& replaced() const { return replaced_; }

  DifferentiateRegion differentiate_region;

 private:
  Graph* graph_;
  uint32_t id_;
  std::vector<Expr> cotangents_;
  std::vector<bool> wanted_;
  std::vector<Expr> given_;
  std::vector<Expr> replaced_;
};

}  // namespace lathe
