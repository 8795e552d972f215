#include "frontend/onnx/context.h"

#include <algorithm>

#include "frontend/onnx/link.h"
#include "frontend/onnx/tracer.h"
#include "ir/eval.h"

namespace lathe::onnx {

OpContext::OpContext(Tracer& tracer, const NodeDef& node, int version, Graph& graph)
    : tracer_(tracer), node_(node), version_(version), graph_(graph) {}

// --- inputs --------------------------------------------------------------------------------------

bool OpContext::has(int i) const {
  if (i >= inputs()) return false;
  const std::string& name = node_.inputs[static_cast<size_t>(i)];
  return !name.empty() && tracer_.find(name) != nullptr;
}

const Value& OpContext::input(int i) {
  const std::string name = i < inputs() ? node_.inputs[static_cast<size_t>(i)] : "";
  const Value* v = name.empty() ? nullptr : tracer_.find(name);
  if (v == nullptr) fail("its input {} is missing", i);
  return *v;
}

const Value& OpContext::tensor(int i) {
  const Value& v = input(i);
  if (!v.is_tensor()) fail("its input {} is {}, a tensor was expected", i, v.signature());
  return v;
}

Expr OpContext::expr(int i) { return tracer_.expr(tensor(i), graph_); }
Expr OpContext::expr(const Value& v) { return tracer_.expr(v, graph_); }

std::vector<Expr> OpContext::exprs(int from) {
  std::vector<Expr> out;
  for (int i = from; i < inputs(); ++i) out.push_back(expr(i));
  return out;
}

void OpContext::need(std::initializer_list<int> wanted) {
  NeedContents unknown;
  for (const int i : wanted)
    if (has(i) && input(i).is_tensor() && !known(i)) unknown.values.push_back(input(i));
  if (!unknown.values.empty()) throw unknown;
}

HostTensor OpContext::content(int i) { return content(tensor(i)); }

HostTensor OpContext::content(const Value& v) {
  if (!v.is_tensor()) fail("a tensor was expected, not {}", v.signature());
  if (v.kind != Value::Kind::Known) throw NeedContents{{v}};
  return v.known;
}

namespace {

Tensor integers(const HostTensor& t, int input) {
  if (t.is_string() || is_float(t.numbers.dtype()))
    fail("its input {} is {}, integers were expected", input, t.type_text());
  return t.numbers;
}

}  // namespace

Dims OpContext::ints(int i) {
  const Tensor t = integers(content(i), i);
  if (t.rank() > 1) fail("its input {} is {}, a list was expected", i, t.type_text());
  Dims out;
  for (int64_t k = 0; k < t.size(); ++k) out.push_back(t.int_at(k));
  return out;
}

int64_t OpContext::integer(int i) {
  const Tensor t = integers(content(i), i);
  if (t.size() != 1) fail("its input {} is {}, one integer was expected", i, t.type_text());
  return t.int_at(0);
}

std::vector<double> OpContext::numbers(int i) {
  const HostTensor t = content(i);
  if (t.is_string()) fail("its input {} is {}, numbers were expected", i, t.type_text());
  std::vector<double> out;
  for (int64_t k = 0; k < t.numbers.size(); ++k) out.push_back(t.numbers.at(k));
  return out;
}

double OpContext::number(int i) {
  const std::vector<double> all = numbers(i);
  if (all.size() != 1) fail("its input {} has {} numbers, one was expected", i, all.size());
  return all[0];
}

int64_t OpContext::computed(const Expr& e) {
  if (tracer_.is_scratch(graph_)) {  // all that it depends on is known
    Graph g = graph_;
    g.add_output("", e.value);
    return evaluate(g, std::vector<Tensor>{})[0].int_at(0);
  }
  std::vector<Value>& asked = tracer_.computed();
  const size_t k = computed_++;
  if (k == asked.size()) asked.push_back(Value::of(e, elem_of(e.dtype())));
  if (asked[k].kind != Value::Kind::Known) throw NeedContents{{asked[k]}};
  return asked[k].known.numbers.int_at(0);
}

// --- attributes ----------------------------------------------------------------------------------

const AttributeDef* OpContext::attribute(std::string_view name, AttributeDef::Kind kind) {
  asked_.emplace(name);
  const AttributeDef* a = node_.find(name);
  if (a != nullptr && !a->refers_to.empty()) {
    const auto& given = tracer_.scope().attributes;
    const auto it = given.find(a->refers_to);
    a = it == given.end() ? nullptr : &it->second;
  }
  if (a == nullptr || kind == AttributeDef::Kind::Undefined) return a;
  if (a->kind != kind)
    fail("attribute '{}' is of type {}, {} was expected", name, kind_name(a->kind),
         kind_name(kind));
  return a;
}

void OpContext::missing_attribute(std::string_view name) const {
  fail("attribute '{}' is missing", name);
}

bool OpContext::has_attribute(std::string_view name) {
  return attribute(name, AttributeDef::Kind::Undefined) != nullptr;
}

int64_t OpContext::attr_int(std::string_view name, std::optional<int64_t> missing) {
  if (const AttributeDef* a = attribute(name, AttributeDef::Kind::Int)) return a->i;
  if (!missing) missing_attribute(name);
  return *missing;
}

double OpContext::attr_float(std::string_view name, std::optional<double> missing) {
  if (const AttributeDef* a = attribute(name, AttributeDef::Kind::Float))
    return static_cast<double>(a->f);
  if (!missing) missing_attribute(name);
  return *missing;
}

std::string OpContext::attr_text(std::string_view name, std::optional<std::string> missing) {
  if (const AttributeDef* a = attribute(name, AttributeDef::Kind::String)) return a->s;
  if (!missing) missing_attribute(name);
  return *missing;
}

Dims OpContext::attr_ints(std::string_view name, Dims missing) {
  const AttributeDef* a = attribute(name, AttributeDef::Kind::Ints);
  return a != nullptr ? a->ints : std::move(missing);
}

std::vector<double> OpContext::attr_floats(std::string_view name, std::vector<double> missing) {
  const AttributeDef* a = attribute(name, AttributeDef::Kind::Floats);
  if (a == nullptr) return missing;
  return {a->floats.begin(), a->floats.end()};
}

std::vector<std::string> OpContext::attr_texts(std::string_view name) {
  const AttributeDef* a = attribute(name, AttributeDef::Kind::Strings);
  return a != nullptr ? a->strings : std::vector<std::string>{};
}

HostTensor OpContext::attr_tensor(std::string_view name) {
  const AttributeDef* a = attribute(name, AttributeDef::Kind::Undefined);
  if (a == nullptr) missing_attribute(name);
  if (a->kind != AttributeDef::Kind::Tensor && a->kind != AttributeDef::Kind::SparseTensor)
    fail("attribute '{}' is of type {}, tensor was expected", name, kind_name(a->kind));
  return a->tensor;
}

DeclaredType OpContext::attr_type(std::string_view name) {
  const AttributeDef* a = attribute(name, AttributeDef::Kind::Type);
  if (a == nullptr) missing_attribute(name);
  return a->type;
}

Subgraph OpContext::attr_graph(std::string_view name) {
  const AttributeDef* a = attribute(name, AttributeDef::Kind::Graph);
  if (a == nullptr || !a->graph) missing_attribute(name);
  return {a->graph.get(), tracer_.shared_scope()};
}

void OpContext::ignore(std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) asked_.emplace(name);
}

void OpContext::check_attributes() const {
  for (const AttributeDef& a : node_.attributes)
    if (!asked_.contains(a.name))
      fail("attribute '{}' is not one of {} in version {}", a.name, node_.op, version_);
}

// --- axes ----------------------------------------------------------------------------------------

void OpContext::check_count(int64_t count, std::string_view what) { tracer_.spend(count, what); }

void OpContext::check_table(const Dims& dims, std::string_view what) {
  check_count(element_count(dims), what);
}

int64_t OpContext::axis(int64_t value, int64_t rank) const {
  if (value < -rank || value >= rank) fail("axis {} is outside of {} axes", value, rank);
  return value < 0 ? value + rank : value;
}

Dims OpContext::axes(Dims values, int64_t rank) const {
  for (int64_t& v : values) v = axis(v, rank);
  std::sort(values.begin(), values.end());
  const auto twice = std::adjacent_find(values.begin(), values.end());
  if (twice != values.end()) fail("axis {} is given twice", *twice);
  return values;
}

// --- results -------------------------------------------------------------------------------------

bool OpContext::wants(int k) const {
  return k < outputs() && !node_.outputs[static_cast<size_t>(k)].empty();
}

void OpContext::out(int k, Value v) {
  const auto at = static_cast<size_t>(k);
  if (results_.size() <= at) results_.resize(at + 1);
  results_[at] = std::move(v);
  next_ = k + 1;
}

std::vector<Value> OpContext::all_inputs() {
  std::vector<Value> out;
  for (int i = 0; i < inputs(); ++i) out.push_back(has(i) ? input(i) : Value{});
  return out;
}

std::vector<Value> OpContext::captured(const Subgraph& subgraph) {
  std::vector<Value> out;
  for (const std::string& name : subgraph.graph->captures) {
    const Value* v = tracer_.find(name);
    out.push_back(v != nullptr ? *v : Value{});
  }
  return out;
}

void OpContext::host(HostFn fn, std::vector<Value> inputs) {
  deferred_ = true;
  host_ = std::move(fn);
  host_inputs_ = std::move(inputs);
}

void OpContext::host_at_run(HostFn fn, std::vector<Value> inputs) {
  host(std::move(fn), std::move(inputs));
  host_at_run_ = true;
}

void OpContext::expand(const Subgraph& subgraph, std::vector<Value> inputs, Continuation after) {
  deferred_ = true;
  expand_ = subgraph;
  expand_inputs_ = std::move(inputs);
  after_ = std::move(after);
}

OpContext::TracedRegion OpContext::region(const Subgraph& subgraph,
                                          const std::vector<Value>& inputs) {
  TracedRegion out;
  std::vector<Value> all = inputs;
  for (Value& v : all)  // inputs of a region differ from step to step
    for_each_leaf(v, [](Value& leaf) { leaf = Value::of_slot(0, leaf.elem, leaf.dims()); });
  const std::vector<Value> taken = captured(subgraph);
  for (size_t i = 0; i < taken.size(); ++i) {
    Value v = taken[i];
    for_each_leaf(v, [&](Value& leaf) {
      if (leaf.is_string()) return;
      if (leaf.kind == Value::Kind::Known && leaf.parameter.empty()) return;
      const Expr e = tracer_.expr(leaf, graph_);
      out.captured.push_back(e);
      leaf = Value::of(e, leaf.elem);
    });
    all.push_back(std::move(v));
  }
  for (Value& v : all)
    for_each_leaf(v, [&](Value& leaf) {
      if (leaf.is_string()) out.why_not = "it handles strings";
    });
  if (!out.why_not.empty()) return out;
  TraceOptions options;
  options.whole = true;
  Stage stage;
  try {
    TraceState inner = begin_region(tracer_.state().model, subgraph, all, options);
    tracer_.enter(inner);
    stage = trace(std::move(inner));
  } catch (const LimitExceeded&) {
    throw;
  } catch (const Error& e) {
    if (e.kind() == ErrorKind::Internal) throw;
    // A branch that is not taken may be wrong for the types at hand; one that is says so again.
    out.why_not = e.what();
    return out;
  }
  if (stage.end != Stage::End::Finished) {
    out.why_not = stage.place + " needs values that only a run can tell";
    return out;
  }
  for (Value& v : stage.values) {
    if (!v.is_tensor()) {
      out.why_not = "it returns " + v.signature();
      return out;
    }
    out.results.push_back(v.elem);
  }
  inside_.add(stage.nodes);
  out.region = std::make_shared<const Graph>(std::move(stage.graph));
  return out;
}

OpContext::TracedRegion OpContext::region(const std::vector<std::string>& from,
                                          const std::string& to) {
  const GraphDef part = part_between(tracer_.graph(), from, to, tracer_.state().model->path);
  return region(Subgraph{&part, tracer_.shared_scope()}, all_inputs());
}

}  // namespace lathe::onnx
