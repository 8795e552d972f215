// Control flow.
#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// The branch is traced in place of the node; which one is decided before anything after it.
void if_row(OpContext& c) {
  c.attr_graph("then_branch");
  c.attr_graph("else_branch");
  c.expand(c.attr_graph(c.integer(0) != 0 ? "then_branch" : "else_branch"), {});
}

constexpr OpRow kRows[] = {
    {"If", 1, if_row},
};

}  // namespace

std::span<const OpRow> control_rows() { return kRows; }

}  // namespace lathe::onnx
