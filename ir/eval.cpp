#include "ir/eval.h"

namespace lathe {

EvalTensor::EvalTensor(DType t, Dims d) : dtype(t), dims(std::move(d)) {
  const auto n = static_cast<size_t>(element_count(dims));
  if (is_float(t)) f.resize(n);
  else i.resize(n);
}

EvalTensor::EvalTensor(const Tensor& t) : EvalTensor(t.dtype(), t.dims()) {
  for (size_t k = 0; k < f.size(); ++k) f[k] = t.at(static_cast<int64_t>(k));
  for (size_t k = 0; k < i.size(); ++k) i[k] = t.int_at(static_cast<int64_t>(k));
}

Tensor EvalTensor::to_tensor() const {
  Tensor t = Tensor::empty(dtype, dims);
  for (size_t k = 0; k < f.size(); ++k) t.set(static_cast<int64_t>(k), f[k]);
  for (size_t k = 0; k < i.size(); ++k) t.set_int(static_cast<int64_t>(k), i[k]);
  return t;
}

void EvalTensor::copy_element(int64_t to, const EvalTensor& source, int64_t from) {
  const auto a = static_cast<size_t>(to), b = static_cast<size_t>(from);
  if (floating()) f[a] = source.f[b];
  else i[a] = source.i[b];
}

int64_t wrap_integer(DType t, int64_t v) {
  return visit_dtype(t, [&]<class T>() -> int64_t {
    if constexpr (std::is_same_v<T, bool>) return v != 0;
    else if constexpr (std::is_integral_v<T>) return static_cast<int64_t>(static_cast<T>(v));
    else return v;
  });
}

double round_to(DType t, double v) {
  if (t == DType::f64) return v;
  if (t == DType::f32) return static_cast<double>(static_cast<float>(v));
  return Tensor::scalar_of(t, v).at(0);
}

namespace {

void check_inputs(const Graph& g, const std::vector<EvalTensor>& inputs) {
  if (inputs.size() != g.inputs().size())
    fail("graph '{}' has {} inputs, {} were given", g.name(), g.inputs().size(), inputs.size());
  for (size_t k = 0; k < inputs.size(); ++k) {
    const GraphInput& in = g.inputs()[k];
    const TensorType given{inputs[k].dtype, Shape(inputs[k].dims)};
    if (!(given == in.type))
      fail("input '{}' is {}, {} is expected", in.name, given.text(), in.type.text());
  }
}

// How many operands and outputs read each node; 0 for nodes that no output reaches.
std::vector<int> count_uses(const Graph& g) {
  std::vector<int> uses(g.nodes().size(), 0);
  for (const GraphOutput& out : g.outputs()) ++uses[out.value.node];
  for (size_t n = uses.size(); n-- > 0;)
    if (uses[n] > 0)
      for (const Value& v : g.nodes()[n].operands) ++uses[v.node];
  return uses;
}

}  // namespace

std::vector<EvalTensor> evaluate(const Graph& g, const std::vector<EvalTensor>& inputs) {
  check_inputs(g, inputs);
  std::vector<std::vector<EvalTensor>> results(g.nodes().size());
  std::vector<const EvalTensor*> given(g.nodes().size(), nullptr);
  for (size_t k = 0; k < inputs.size(); ++k) given[g.inputs()[k].value.node] = &inputs[k];
  const auto value = [&](const Value& v) {
    return given[v.node] != nullptr ? given[v.node] : &results[v.node][v.result];
  };

  std::vector<int> uses = count_uses(g);
  for (size_t id = 0; id < g.nodes().size(); ++id) {
    if (uses[id] == 0 || given[id] != nullptr) continue;
    const Node& n = g.nodes()[id];
    std::vector<const EvalTensor*> operands;
    for (const Value& v : n.operands) operands.push_back(value(v));
    Evaluation e(n, std::move(operands), n.types);
    op_def(n.op).eval(e);
    results[id] = std::move(e.results());
    for (const Value& v : n.operands)
      if (--uses[v.node] == 0) results[v.node].clear();
  }

  std::vector<EvalTensor> out;
  for (const GraphOutput& o : g.outputs()) out.push_back(*value(o.value));
  return out;
}

std::vector<Tensor> evaluate(const Graph& g, const std::vector<Tensor>& inputs) {
  std::vector<EvalTensor> given;
  for (const Tensor& t : inputs) given.emplace_back(t);
  std::vector<Tensor> out;
  for (const EvalTensor& t : evaluate(g, given)) out.push_back(t.to_tensor());
  return out;
}

}  // namespace lathe
