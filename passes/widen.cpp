#include "passes/widen.h"

#include "ir/base/convert.h"

namespace lathe {
namespace {

void widen_field(DType& t) {
  if (is_float(t)) t = DType::f64;
}

void widen_field(Tensor& t) {
  if (is_float(t.dtype())) t = converted(t, DType::f64);
}

template <class T>
void widen_field(T&) {}  // holds no element type

Attrs widened(Attrs attrs) {
  std::visit(
      [](auto& a) {
        std::decay_t<decltype(a)>::fields(
            a, [](std::string_view, auto& field) { widen_field(field); });
      },
      attrs);
  return attrs;
}

}  // namespace

Graph widen(const Graph& g) {
  Graph out(g.name());
  std::vector<uint32_t> moved(g.nodes().size(), UINT32_MAX);
  for (const GraphInput& in : g.inputs()) {
    TensorType type = in.type;
    widen_field(type.dtype);
    moved[in.value.node] = out.add_input(in.name, std::move(type), in.role).node;
  }
  for (size_t id = 0; id < g.nodes().size(); ++id) {
    if (moved[id] != UINT32_MAX) continue;
    const Node& n = g.nodes()[id];
    std::vector<Value> operands;
    for (const Value& v : n.operands) operands.push_back({moved[v.node], v.result});
    std::vector<Region> regions;
    for (const Region& r : n.regions) regions.push_back(std::make_shared<const Graph>(widen(*r)));
    moved[id] =
        out.add(n.op, std::move(operands), widened(n.attrs), std::move(regions), n.name).node;
  }
  for (const GraphOutput& o : g.outputs())
    out.add_output(o.name, {moved[o.value.node], o.value.result}, o.updates);
  return out;
}

}  // namespace lathe
