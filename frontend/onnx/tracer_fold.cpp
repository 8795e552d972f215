// What is computed while a model is traced, and how much of it may be.
#include <fmt/format.h>

#include "frontend/onnx/link.h"
#include "frontend/onnx/tracer.h"
#include "ir/eval.h"

namespace lathe::onnx {
namespace {

// Constant results are computed while tracing up to this much: elements read, and elements of all
// intermediate values. It is meant for the arithmetic of shapes.
constexpr int64_t kMostFoldInputs = int64_t{1} << 13;
constexpr int64_t kMostFoldWork = int64_t{1} << 17;

// Regions in regions: each takes its share of the stack.
constexpr int kMostRegions = 50;

class NoServices : public HostServices {
 public:
  std::vector<Value> run(const Subgraph&, const std::vector<Value>&) override {
    fail_internal(__FILE__, __LINE__, "false", "a step without services asks for them");
  }
};

// Elements that evaluating g computes, up to kMostFoldWork and a little more. How often a while
// loop goes on is not known.
int64_t graph_work(const Graph& g) {
  int64_t work = 0;
  for (const Node& n : g.nodes()) {
    for (const TensorType& t : n.types)
      work += std::min(t.shape.element_count(), kMostFoldWork + 1);
    if (std::holds_alternative<WhileAttrs>(n.attrs)) return kMostFoldWork + 1;
    const auto* scan = std::get_if<ScanAttrs>(&n.attrs);
    const int64_t times = scan == nullptr ? 1 : std::min(scan->length.value(), kMostFoldWork + 1);
    for (const Region& r : n.regions) work += times * (1 + graph_work(*r));
    if (work > kMostFoldWork) return kMostFoldWork + 1;
  }
  return work;
}

// What a host step's results take, in elements.
int64_t size_of(const Value& v) {
  int64_t size = v.kind == Value::Kind::Known ? element_count(v.known.dims()) : 1;
  if (v.kind == Value::Kind::Known && v.is_string())
    for (const std::string& s : *v.known.strings) size += std::ssize(s);
  if (v.items)
    for (const Value& item : *v.items) size += size_of(item);
  return size;
}

}  // namespace

void Tracer::count_node() {
  const int64_t most = state_.model->limits.nodes;
  if (++state_.spent->nodes > most)
    throw LimitExceeded(
        fmt::format("the model unfolds to more than {} nodes, which is the limit", most));
}

void Tracer::spend(int64_t elements, std::string_view what) {
  const int64_t most = state_.model->limits.elements;
  if (elements > most - state_.spent->elements)
    throw LimitExceeded(
        fmt::format("{} {}: the model computes more than {} elements while it is loaded, which is "
                    "the limit",
                    elements, what, most));
  state_.spent->elements += std::max<int64_t>(elements, 0);
}

void Tracer::enter(TraceState& inner) const {
  inner.depth = state_.depth + 1;
  inner.spent = state_.spent;
  if (inner.depth > kMostRegions)
    throw LimitExceeded(fmt::format(
        "functions or subgraphs are nested more than {} deep as regions", kMostRegions));
}

bool Tracer::may_fold(const NodeDef& node, const OpRow& row) {
  if (!row.folds || (row.random != nullptr && row.random(node))) return false;
  int64_t read = 0;
  for (const std::string& name : names_read(node)) {
    const Value* v = find(name);
    if (v == nullptr) continue;
    if (v->kind != Value::Kind::Known || !v->parameter.empty()) return false;
    read += size_of(*v);
  }
  for (const AttributeDef& a : node.attributes)
    if (a.graph) return false;
  return read <= kMostFoldInputs;
}

// Computes a node all of whose inputs are known. False where that is too much work.
bool Tracer::fold(const NodeDef& node, int version, const OpRow& row) {
  Graph scratch;
  OpContext c(*this, node, version, scratch);
  row.translate(c);
  c.check_attributes();
  if (c.deferred_ && (!c.host_ || c.host_at_run_)) return false;
  std::vector<Value>& built = c.deferred_ ? c.host_inputs_ : c.results_;
  for (Value& v : built)
    for_each_leaf(v, [&](Value& leaf) {
      if (leaf.kind == Value::Kind::Graph) scratch.add_output("", leaf.expr.value);
    });
  const int64_t work = graph_work(scratch);
  if (work > kMostFoldWork) return false;
  spend(work, "elements of constants");
  const std::vector<Tensor> values = evaluate(scratch, std::vector<Tensor>{});
  size_t next = 0;
  for (Value& v : built)
    for_each_leaf(v, [&](Value& leaf) {
      if (leaf.kind == Value::Kind::Graph) leaf = Value::of(HostTensor(leaf.elem, values[next++]));
    });
  if (c.deferred_ && !run_host_now(c)) return false;
  bind_results(c);
  return true;
}

bool Tracer::run_host_now(OpContext& c) {
  if (!c.host_ || c.host_at_run_) return false;
  bool all_known = true;
  int64_t read = 0;
  for (Value& v : c.host_inputs_)
    for_each_leaf(v, [&](Value& leaf) {
      all_known &= leaf.kind == Value::Kind::Known;
      read += size_of(leaf);
    });
  if (!all_known || read > kMostFoldInputs) return false;
  NoServices services;
  c.results_ = c.host_(services, c.host_inputs_);
  for (const Value& v : c.results_) spend(size_of(v), "elements of constants");
  c.deferred_ = false;
  return true;
}

}  // namespace lathe::onnx
