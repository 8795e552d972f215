// Every op lowered alone, as a kernel of its own, against its reference evaluation.
#include <doctest/doctest.h>

#include <cmath>

#include "backends/reference/interpreter.h"
#include "ir/eval.h"
#include "ir/lowering.h"
#include "ir/op.h"
#include "tests/support/kernel_run.h"
#include "tests/support/op_cases.h"

namespace lathe {
namespace {

// The kernel of node `id` alone, all its operands being loaded. Its result is the last operand, or
// operand 0 of a Scatter.
Kernel lower_alone(const Graph& g, uint32_t id, std::vector<Value>* operands) {
  const Node& n = g.nodes()[id];
  const Value result{id, 0};
  const Dims dims = n.types[0].shape.static_dims();
  const OpClass cls = op_def(n.op).cls;
  if (cls == OpClass::Scatter) {
    const auto axis = std::get<AxisAttrs>(n.attrs).axis;
    Dims window = dims;
    window.erase(window.begin() + axis);
    Lowering l(g, {id}, window);
    l.add_operand(result, OperandRole::InOut);
    l.pull(result, l.parallel_index());
    return l.finish(operands);
  }
  if (cls == OpClass::Cumulative) {
    const auto& attrs = std::get<CumulativeAttrs>(n.attrs);
    Dims lines = dims;
    lines[static_cast<size_t>(attrs.axis)] = 1;
    Lowering l(g, {id}, lines);
    Index at = l.parallel_index();
    const int64_t extent = dims[static_cast<size_t>(attrs.axis)];
    const IndexExpr step = l.cumulative_index(extent, attrs.exclusive);
    at[attrs.axis] = attrs.reverse ? step * -1 + IndexExpr(extent - 1) : step;
    const ScalarId value = l.pull(result, at);
    l.store(l.add_operand(result, OperandRole::Out), at, dims, value);
    return l.finish(operands);
  }
  Lowering l(g, {id}, dims);
  const Index at = l.parallel_index();
  const ScalarId value = l.pull(result, at);
  l.store(l.add_operand(result, OperandRole::Out), at, dims, value);
  return l.finish(operands);
}

bool close(const Tensor& a, const Tensor& b, double tolerance) {
  if (!is_float(a.dtype())) return identical(a, b);
  for (int64_t i = 0; i < a.size(); ++i) {
    const double x = a.at(i), y = b.at(i);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x != y && !(std::fabs(x - y) <= tolerance * (1 + std::fabs(y)))) return false;
  }
  return true;
}

bool is_expanded(const Kernel& k) {
  for (const Instr& i : k.body)
    if (info(i.op).cls == ScalarClass::expanded) return true;
  return false;
}

// The node's reference evaluation on operands that are rounded to their types, as a kernel's are.
Tensor reference(const Node& n, const std::vector<EvalTensor>& operands) {
  std::vector<const EvalTensor*> in;
  for (const EvalTensor& t : operands) in.push_back(&t);
  Evaluation e(n, in, n.types);
  op_def(n.op).eval(e);
  return e.out().to_tensor();
}

// Checks the nodes of a row one by one; each is given the reference's values of its operands.
int check_case(const OpCase& c) {
  CAPTURE(c.name);
  Graph g = build_case(c);
  for (uint32_t id = 0; id < g.nodes().size(); ++id)
    for (uint32_t r = 0; r < g.nodes()[id].types.size(); ++r) g.add_output("", {id, r});
  const size_t own = build_case(c).outputs().size();
  const std::vector<Tensor> values = evaluate(g, sample_inputs(g, c));
  const auto value = [&](Value v) {
    for (size_t i = own; i < g.outputs().size(); ++i)
      if (g.outputs()[i].value == v) return values[i];
    return Tensor();
  };
  int checked = 0;
  for (uint32_t id = 0; id < g.nodes().size(); ++id) {
    const Node& n = g.nodes()[id];
    const OpClass cls = op_def(n.op).cls;
    if (is_step(cls) || cls == OpClass::Source) continue;
    CAPTURE(op_def(n.op).name);
    std::vector<Value> operands;
    const Kernel k = lower_alone(g, id, &operands);
    if (is_expanded(k)) continue;
    std::vector<Tensor> tensors;
    size_t result = 0;
    for (size_t i = 0; i < operands.size(); ++i) {
      const bool is_result = operands[i] == Value{id, 0};
      if (is_result) result = i;
      // A Scatter starts from its data; other results from anything.
      tensors.push_back(
          value(is_result && cls == OpClass::Scatter ? n.operands[0] : operands[i]).clone());
      if (is_result && cls != OpClass::Scatter)
        for (int64_t e = 0; e < tensors[i].size(); ++e) tensors[i].set(e, 77);
    }
    const KernelSchedule s;
    Result<CompiledKernel> compiled = interpret_kernel(k, s, Target{});
    REQUIRE(compiled.ok());
    run_kernel(*compiled, k, s, tensors);
    std::vector<EvalTensor> given;
    for (const Value& v : n.operands) given.emplace_back(value(v));
    CHECK(close(tensors[result], reference(n, given), c.tolerance));
    ++checked;
  }
  return checked;
}

}  // namespace

TEST_CASE("every op lowered alone gives what its reference evaluation gives") {
  int checked = 0;
  for (const OpCase& c : op_cases()) checked += check_case(c);
  CHECK(checked > 100);
}

}  // namespace lathe
