#include "passes/decompose.h"

#include "passes/rebuild.h"

namespace lathe {
namespace {

Graph inline_composites(const Graph& g) {
  return Rebuilder::run(g,
                        [](const Graph& source, uint32_t id, const std::vector<Expr>& operands,
                           Graph& target) -> std::optional<std::vector<Expr>> {
                          const Node& n = source.nodes()[id];
                          if (!std::holds_alternative<CompositeAttrs>(n.attrs)) return std::nullopt;
                          return inline_graph(target, inline_composites(*n.regions[0]), operands);
                        });
}

}  // namespace

Graph decompose(const Graph& g) { return map_regions(inline_composites(g), inline_composites); }

}  // namespace lathe
