#include "ir/graph_verify.h"

#include <set>

#include "ir/graph_text.h"
#include "ir/op.h"

namespace lathe {
namespace {

std::string types_text(const Types& types) {
  std::string out;
  for (const TensorType& t : types) out.append(out.empty() ? "" : ", ").append(t.text());
  return fmt::format("({})", out);
}

class Verifier {
 public:
  explicit Verifier(const Graph& g) : g_(g) {}

  Result<bool> run() {
    for (uint32_t id = 0; id < g_.nodes().size(); ++id)
      if (const std::string why = check_node(id); !why.empty())
        return failure("graph '{}': {}: {}\n{}", g_.name(), label(id), why, print_around(g_, id));
    if (const std::string why = check_inputs(); !why.empty())
      return failure("graph '{}': {}", g_.name(), why);
    std::set<int> updated;
    for (const GraphOutput& out : g_.outputs())
      if (const std::string why = check_output(out, updated); !why.empty())
        return failure("graph '{}': output '{}' {}\n{}", g_.name(), out.name, why,
                       print_around(g_, out.value.node));
    return true;
  }

 private:
  std::string label(uint32_t id) const {
    const Node& n = g_.nodes()[id];
    const std::string_view op = op_def(n.op).name;
    return n.name.empty() ? std::string(op) : fmt::format("{} (node '{}')", op, n.name);
  }

  std::string check_node(uint32_t id) const {
    const Node& n = g_.nodes()[id];
    const OpDef& def = op_def(n.op);
    std::vector<TensorType> operands;
    for (const Value& v : n.operands) {
      if (v.node >= id || v.result >= g_.node(v).types.size())
        return "an operand is not a result of an earlier node";
      operands.push_back(g_.type(v));
    }
    if (def.arity != kVariadic && std::ssize(operands) != def.arity)
      return fmt::format("{} operands, {} expected", operands.size(), def.arity);
    if (n.attrs.index() != def.attrs) return "the attributes are another op's";
    if (std::ssize(n.regions) != def.regions)
      return fmt::format("{} regions, {} expected", n.regions.size(), def.regions);
    for (const Region& r : n.regions)
      if (const Result<bool> inner = verify_graph(*r); !inner) return inner.error();
    const Result<Types> types = infer(n, def, operands);
    if (!types) return types.error() + "; operands are " + types_text(operands);
    if (*types != n.types)
      return fmt::format("its types are {}, inference gives {}", types_text(n.types),
                         types_text(*types));
    return "";
  }

  static Result<Types> infer(const Node& n, const OpDef& def,
                             const std::vector<TensorType>& operands) {
    try {
      return def.infer({operands, n.attrs, n.regions});
    } catch (const Error& e) {
      return Failure{e.what()};
    }
  }

  std::string check_inputs() const {
    std::set<uint32_t> known;
    for (const GraphInput& in : g_.inputs()) {
      const Value v = in.value;
      if (v.node >= g_.nodes().size() || g_.node(v).op != OpId::parameter || v.result != 0 ||
          !(g_.type(v) == in.type) || !known.insert(v.node).second)
        return fmt::format("input '{}' is not a parameter of type {} of its own", in.name,
                           in.type.text());
    }
    for (uint32_t id = 0; id < g_.nodes().size(); ++id)
      if (g_.nodes()[id].op == OpId::parameter && !known.contains(id))
        return fmt::format("parameter node '{}' is no input", g_.nodes()[id].name);
    return "";
  }

  std::string check_output(const GraphOutput& out, std::set<int>& updated) const {
    const Value v = out.value;
    if (v.node >= g_.nodes().size() || v.result >= g_.node(v).types.size())
      return "is no value of the graph";
    if (out.updates < 0) return "";
    if (out.updates >= std::ssize(g_.inputs())) return "updates an input that does not exist";
    const GraphInput& in = g_.inputs()[static_cast<size_t>(out.updates)];
    if (!(in.type == g_.type(v)))
      return fmt::format("of type {} updates input '{}' of type {}", g_.type(v).text(), in.name,
                         in.type.text());
    if (!updated.insert(out.updates).second)
      return fmt::format("updates input '{}', as another output does", in.name);
    return "";
  }

  const Graph& g_;
};

}  // namespace

Result<bool> verify_graph(const Graph& g) { return Verifier(g).run(); }

}  // namespace lathe
