#include "passes/pipeline.h"

#include "ir/graph_verify.h"
#include "passes/block_calls.h"
#include "passes/block_rows.h"
#include "passes/carry_in_place.h"
#include "passes/decompose.h"
#include "passes/fold.h"
#include "passes/fold_products.h"
#include "passes/integer_products.h"
#include "passes/join_calls.h"
#include "passes/kernel_passes.h"
#include "passes/lower.h"
#include "passes/mark_padding.h"
#include "passes/pack_constants.h"
#include "passes/plan_memory.h"
#include "passes/rules.h"
#include "passes/scan_motion.h"
#include "passes/sink_into_loops.h"
#include "passes/sink_transposes.h"
#include "passes/write_over.h"

namespace lathe {
namespace {

constexpr GraphPass kGraphPasses[] = {
    {"simplify", simplify, "first: a composite's body is simplified once, not once for each use"},
    {"decompose", decompose, "no backend claims a composite yet, and fusion must see inside"},
    {"integer_products", integer_products,
     "before literals are folded, which would widen bytes for good"},
    {"fold_products", fold_products,
     "before layouts: what it makes is a convolution, with its result's axes last"},
    {"sink_transposes", sink_transposes,
     "after decompose, which lets them out of composites; folding then permutes weights"},
    {"fold_constants", fold_constants,
     "after decompose, which shows bodies their literal operands"},
    {"simplify:2", simplify, "literals that folding found, and views that met across composites"},
    {"move_out_of_scans", move_out_of_scans,
     "after simplify, which shows that a carry starts as zeros and that pieces are one value"},
    {"fold_constants:2", fold_constants, "layouts of literals that a scan's steps multiply by"},
    {"simplify:3", simplify, "what left the scans meets what was outside"},
    {"block_rows", block_rows,
     "last: it reads what is computed in the end, and scans that it makes keep what is theirs"},
};

constexpr KernelPass kKernelPasses[] = {
    {"order_reduction", order_reduction, "first: ivs that become neighbours in memory can merge"},
    {"canonicalize_reduction", canonicalize_reduction, "the order below looks at the last iv"},
    {"choose_order", choose_order,
     "before parallel ivs of extent 1 go: a batch of one must sum like a batch of many"},
    {"pair_steps", pair_steps, "after the reduction's ivs are final: the last one is paired"},
    {"canonicalize_parallel", canonicalize_parallel, "long inner loops, equal text for equal work"},
    {"expand_math", expand_math, "last: the others need not walk through polynomials"},
};

// A pass that has nothing to do for threads.
template <void (*pass)(Program&, const Target&)>
void alone(Program& p, const Target& target, const ParallelFor&) {
  pass(p, target);
}

constexpr ProgramPass kProgramPasses[] = {
    {"mark_padding", mark_padding, "first: it reads literals, which packing copies"},
    {"pack_constants", pack_constants, "early: a product may become two, each with a step"},
    {"sink_into_loops", alone<sink_into_loops>,
     "products as they will run, and each temporary has one use"},
    {"write_updates_in_place", alone<write_updates_in_place>,
     "frees temporaries before they are placed"},
    {"carry_in_place", alone<carry_in_place>, "with the others that make a buffer of two"},
    {"block_calls", alone<block_calls>,
     "after updates in place, which look for one writer's call; temporaries shrink"},
    {"write_over", alone<write_over>, "after block_calls, which tells a row's tensors apart"},
    {"plan_memory", alone<plan_memory>, "needs the final steps"},
    {"join_calls", alone<join_calls>, "last: temporaries may lie where others have been"},
};

}  // namespace

std::span<const GraphPass> graph_passes() { return kGraphPasses; }
std::span<const KernelPass> kernel_passes() { return kKernelPasses; }
std::span<const ProgramPass> program_passes() { return kProgramPasses; }

Graph optimize(const Graph& g, const PassObserver& observer, bool verify) {
  Graph current = g;
  uint64_t hash = current.hash();
  for (const GraphPass& pass : kGraphPasses) {
    current = pass.run(current);
    const uint64_t now = current.hash();
    if (const Result<bool> ok = verify ? verify_graph(current) : true; !ok)
      fail_internal(__FILE__, __LINE__, "verify_graph",
                    fmt::format("after pass {}: {}", pass.name, ok.error()));
    if (observer && now != hash) observer(pass.name, current);
    hash = now;
  }
  return current;
}

Program compile_to_program(const Graph& g, const Target& target, const PassObserver& observer,
                           const ParallelFor& parallel) {
  Program program = lower(optimize(g, observer), target);
  for (const ProgramPass& pass : kProgramPasses) pass.run(program, target, parallel);
  return program;
}

}  // namespace lathe
