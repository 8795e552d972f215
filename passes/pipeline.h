// The whole story on one page: which passes run, in which order, and why there.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "ir/base/parallel.h"
#include "ir/base/target.h"
#include "ir/graph.h"
#include "ir/program.h"

namespace lathe {

struct GraphPass {
  std::string_view name;
  Graph (*run)(const Graph&);
  std::string_view why_here;
};
struct KernelPass {
  std::string_view name;
  void (*run)(Kernel&);
  std::string_view why_here;
};
struct ProgramPass {
  std::string_view name;
  void (*run)(Program&, const Target&, const ParallelFor&);
  std::string_view why_here;
};

std::span<const GraphPass> graph_passes();
std::span<const KernelPass> kernel_passes();
std::span<const ProgramPass> program_passes();

// Called after each pass that changed something; for dumps, timing and verification.
using PassObserver = std::function<void(std::string_view pass, const Graph& after)>;

// A pass that leaves an ill-formed graph is an internal error naming the pass and the node.
#ifdef NDEBUG
inline constexpr bool kVerifyPasses = false;
#else
inline constexpr bool kVerifyPasses = true;
#endif

// A static graph through all graph passes.
Graph optimize(const Graph& g, const PassObserver& observer = {}, bool verify = kVerifyPasses);
// The same, lowered, with memory planned.
Program compile_to_program(const Graph& g, const Target& target, const PassObserver& observer = {},
                           const ParallelFor& parallel = serial_for);

}  // namespace lathe
