// If, Loop and Scan: the graph's own control flow where types do not change on the way, else a
// decision between stages (If) or a run of the body for each step (Loop).
#include <cstring>
#include <limits>

#include "frontend/onnx/row.h"

namespace lathe::onnx {
namespace {

// --- If ------------------------------------------------------------------------------------------

// A branch that takes what both capture, in the order then, else.
Region widened_branch(const OpContext::TracedRegion& branch, size_t first,
                      const std::vector<Expr>& operands) {
  Graph g("branch");
  std::vector<Expr> inputs;
  for (size_t i = 0; i < operands.size(); ++i)
    inputs.push_back(input(g, fmt::format("x{}", i), operands[i].type()));
  const auto begin = inputs.begin() + static_cast<ptrdiff_t>(first);
  const auto end = begin + static_cast<ptrdiff_t>(branch.captured.size());
  for (const Expr& e : inline_graph(g, *branch.region, {begin, end})) g.add_output("", e.value);
  return std::make_shared<const Graph>(std::move(g));
}

bool same_results(const OpContext::TracedRegion& a, const OpContext::TracedRegion& b) {
  if (a.results != b.results) return false;
  for (size_t i = 0; i < a.results.size(); ++i)
    if (!(a.region->type(a.region->outputs()[i].value) ==
          b.region->type(b.region->outputs()[i].value)))
      return false;
  return true;
}

void if_row(OpContext& c) {
  const Subgraph then_branch = c.attr_graph("then_branch");
  const Subgraph else_branch = c.attr_graph("else_branch");
  if (!c.known(0)) {
    const auto a = c.region(then_branch, {}), b = c.region(else_branch, {});
    if (a.region && b.region && same_results(a, b)) {
      std::vector<Expr> operands = a.captured;
      operands.insert(operands.end(), b.captured.begin(), b.captured.end());
      const auto results = if_else(reshape(c.expr(0), Shape{}), widened_branch(a, 0, operands),
                                   widened_branch(b, a.captured.size(), operands), operands);
      for (size_t i = 0; i < results.size(); ++i) c.out(results[i], a.results[i]);
      return;
    }
  }
  c.expand(c.integer(0) != 0 ? then_branch : else_branch, {});
}

// --- Loop ----------------------------------------------------------------------------------------

struct LoopParts {
  Subgraph body;
  std::vector<Value> carried;
  size_t scans = 0;  // results that are stacked
};

LoopParts loop_parts(OpContext& c) {
  LoopParts p{c.attr_graph("body"), {}, 0};
  for (int i = 2; i < c.inputs(); ++i) p.carried.push_back(c.input(i));
  const GraphDef& g = *p.body.graph;
  if (g.inputs.size() != p.carried.size() + 2 || g.outputs.size() < p.carried.size() + 1)
    fail("its body has {} inputs and {} outputs for {} carried values", g.inputs.size(),
         g.outputs.size(), p.carried.size());
  p.scans = g.outputs.size() - p.carried.size() - 1;
  return p;
}

// Whether the body's condition is true for good: the constant, or the condition it was given.
bool never_stops(const Graph& body) {
  const lathe::Value condition = body.outputs()[0].value;
  const Node& n = body.node(condition);
  if (n.op == OpId::constant) return std::get<ConstantAttrs>(n.attrs).value.int_at(0) != 0;
  return condition == body.inputs()[1].value;
}

// Steps [i, carried.., captured..] -> [i + 1, carried.., stacked..].
Region counted_body(const OpContext::TracedRegion& traced, size_t carried) {
  Graph g("body");
  const Expr i = input(g, "i", {DType::i64, {}});
  std::vector<Expr> operands = {i, full(g, {DType::boolean, {}}, 1)};
  for (size_t k = 2; k < traced.region->inputs().size(); ++k)
    operands.push_back(input(g, fmt::format("x{}", k), traced.region->inputs()[k].type));
  const std::vector<Expr> results = inline_graph(g, *traced.region, operands);
  g.add_output("", add(i, full_like(i, 1)).value);
  for (size_t k = 1; k < results.size(); ++k) g.add_output("", results[k].value);
  LATHE_ASSERT(results.size() > carried, "a loop body without its carried values");
  return std::make_shared<const Graph>(std::move(g));
}

struct WhileRegions {
  Region condition, body;
};

// Carries [i, limit, go on, carried..].
WhileRegions while_regions(const OpContext::TracedRegion& traced, size_t carried) {
  WhileRegions out;
  for (const bool is_body : {false, true}) {
    Graph g(is_body ? "body" : "condition");
    const Expr i = input(g, "i", {DType::i64, {}}), limit = input(g, "limit", {DType::i64, {}});
    const Expr go_on = input(g, "go_on", {DType::boolean, {}});
    std::vector<Expr> operands = {i, go_on};
    for (size_t k = 2; k < traced.region->inputs().size(); ++k)
      operands.push_back(input(g, fmt::format("x{}", k), traced.region->inputs()[k].type));
    if (!is_body) {
      g.add_output("", bit_and(go_on, lt(i, limit)).value);
      out.condition = std::make_shared<const Graph>(std::move(g));
      continue;
    }
    const std::vector<Expr> results = inline_graph(g, *traced.region, operands);
    g.add_output("", add(i, full_like(i, 1)).value);
    g.add_output("", limit.value);
    g.add_output("", reshape(results[0], Shape{}).value);
    for (size_t k = 1; k <= carried; ++k) g.add_output("", results[k].value);
    out.body = std::make_shared<const Graph>(std::move(g));
  }
  return out;
}

// A scan for a known number of steps, a while loop where nothing is stacked. False where the body
// is neither.
bool loop_in_graph(OpContext& c, const LoopParts& p) {
  std::vector<Value> inputs = {Value::of_slot(0, ElemType::Int64, {}),
                               Value::of_slot(0, ElemType::Bool, {})};
  for (const Value& v : p.carried) {
    if (!v.is_tensor() || v.is_string()) return false;
    inputs.push_back(v);
  }
  const auto traced = c.region(p.body, inputs);
  if (!traced.region) return false;
  const size_t n = p.carried.size();
  for (size_t i = 0; i < n; ++i)
    if (traced.results[i + 1] != p.carried[i].elem ||
        traced.region->type(traced.region->outputs()[i + 1].value).shape.static_dims() !=
            p.carried[i].dims())
      return false;
  std::vector<Expr> carried;
  for (const Value& v : p.carried) carried.push_back(c.expr(v));
  const Expr zero = full(c.graph(), {DType::i64, {}}, 0);
  const bool goes_on = !c.has(1) || (c.known(1) && c.integer(1) != 0);
  std::vector<Expr> results;
  if (c.has(0) && c.known(0) && goes_on && never_stops(*traced.region)) {
    carried.insert(carried.begin(), zero);
    results = scan(c.graph(), counted_body(traced, n), carried, {}, traced.captured,
                   Dim(std::max<int64_t>(c.integer(0), 0)));
    results.erase(results.begin());
  } else if (p.scans == 0) {
    const Expr limit =
        c.has(0) ? reshape(cast(c.expr(0), DType::i64), Shape{})
                 : integer_constant(c.graph(), DType::i64, std::numeric_limits<int64_t>::max());
    const Expr go_on =
        c.has(1) ? reshape(c.expr(1), Shape{}) : full(c.graph(), {DType::boolean, {}}, 1);
    carried.insert(carried.begin(), {zero, limit, go_on});
    const auto [condition, body] = while_regions(traced, n);
    results = while_loop(c.graph(), condition, body, carried, traced.captured);
    results.erase(results.begin(), results.begin() + 3);
  } else {
    return false;
  }
  for (size_t k = 0; k < n + p.scans; ++k) c.out(results[k], traced.results[k + 1]);
  return true;
}

// Tensors of one type, stacked along a new first axis.
Value stacked(const std::vector<Value>& parts, const ValueDef& declared) {
  if (parts.empty()) {
    Dims dims = {0};
    if (declared.type.dims)
      for (const DeclaredDim& d : *declared.type.dims) dims.push_back(d.value.value_or(0));
    if (declared.type.elem == ElemType::String) return Value::of(HostTensor(dims, {}));
    return Value::of(HostTensor(declared.type.elem,
                                Tensor::zeros(carrier(declared.type.elem), std::move(dims))));
  }
  const HostTensor& first = parts[0].known;
  for (const Value& v : parts)
    if (v.signature() != parts[0].signature())
      fail("'{}' is {} in one step and {} in another", declared.name, parts[0].signature(),
           v.signature());
  Dims dims = first.dims();
  dims.insert(dims.begin(), std::ssize(parts));
  if (first.is_string()) {
    std::vector<std::string> all;
    for (const Value& v : parts)
      all.insert(all.end(), v.known.strings->begin(), v.known.strings->end());
    return Value::of(HostTensor(dims, std::move(all)));
  }
  Tensor out = Tensor::empty(first.numbers.dtype(), dims);
  auto* to = static_cast<std::byte*>(out.mutable_raw());
  for (const Value& v : parts) {
    const auto bytes = static_cast<size_t>(v.known.numbers.bytes());
    if (bytes > 0) std::memcpy(to, v.known.numbers.raw(), bytes);
    to += bytes;
  }
  return Value::of(HostTensor(first.elem, std::move(out)));
}

// The body run once for each step. `in`: limit, condition, carried.., captured...
std::vector<Value> run_loop(HostServices& services, const Subgraph& body, size_t carried,
                            const std::vector<Value>& in) {
  const auto first = [](const Value& v) { return v.known.numbers.int_at(0); };
  const bool limited = in[0].kind != Value::Kind::Absent;
  const int64_t limit = limited ? first(in[0]) : std::numeric_limits<int64_t>::max();
  Value condition = in[1];
  if (condition.kind == Value::Kind::Absent) {
    Tensor yes = Tensor::zeros(DType::boolean, {});
    yes.set_int(0, 1);
    condition = Value::of(HostTensor(yes));
  }
  std::vector<Value> state(in.begin() + 2, in.begin() + 2 + static_cast<ptrdiff_t>(carried));
  const auto& outputs = body.graph->outputs;
  std::vector<std::vector<Value>> scans(outputs.size() - carried - 1);
  for (int64_t i = 0; i < limit && first(condition) != 0; ++i) {
    std::vector<Value> inputs = {Value::of(HostTensor(Tensor::scalar<int64_t>(i))), condition};
    inputs.insert(inputs.end(), state.begin(), state.end());
    inputs.insert(inputs.end(), in.begin() + 2 + static_cast<ptrdiff_t>(carried), in.end());
    const std::vector<Value> results = services.run(body, inputs);
    condition = results[0];
    for (size_t k = 0; k < carried; ++k) state[k] = results[k + 1];
    for (size_t k = 0; k < scans.size(); ++k) scans[k].push_back(results[carried + 1 + k]);
  }
  for (size_t k = 0; k < scans.size(); ++k)
    state.push_back(stacked(scans[k], outputs[carried + 1 + k]));
  return state;
}

void loop_row(OpContext& c) {
  const LoopParts p = loop_parts(c);
  if (loop_in_graph(c, p)) return;
  std::vector<Value> inputs = {c.has(0) ? c.input(0) : Value{}, c.has(1) ? c.input(1) : Value{}};
  inputs.insert(inputs.end(), p.carried.begin(), p.carried.end());
  for (Value& v : c.captured(p.body)) inputs.push_back(std::move(v));
  c.host_at_run(
      [body = p.body, carried = p.carried.size()](HostServices& s, const std::vector<Value>& in) {
        return run_loop(s, body, carried, in);
      },
      std::move(inputs));
}

// --- Scan ----------------------------------------------------------------------------------------

struct ScanSpec {
  Subgraph body;
  size_t states = 0, scanned = 0;
  Dims input_axes, output_axes, input_reversed, output_reversed;
};

// One sequence; `values`: states, then scanned inputs.
std::vector<Expr> scan_once(OpContext& c, const ScanSpec& s, std::vector<Expr> values,
                            std::vector<ElemType>& elems) {
  int64_t length = -1;
  for (size_t i = 0; i < s.scanned; ++i) {
    Expr& x = values[s.states + i];
    const int64_t axis = c.axis(s.input_axes[i], x.rank());
    const int64_t n = x.shape()[static_cast<int>(axis)].value();
    if (length >= 0 && n != length) fail("its scanned inputs have {} and {} steps", length, n);
    length = n;
    x = with_axis_moved(x, axis, 0);
    if (s.input_reversed[i] != 0) x = reverse(x, 0);
  }
  std::vector<Value> inputs;
  for (size_t i = 0; i < values.size(); ++i) {
    Dims dims = values[i].shape().static_dims();
    if (i >= s.states) dims.erase(dims.begin());
    inputs.push_back(Value::of_slot(0, elem_of(values[i].dtype()), dims));
  }
  const auto traced = c.region(s.body, inputs);
  if (!traced.region) c.unsupported("its body cannot be a region: {}", traced.why_not);
  elems = traced.results;
  const auto split = values.begin() + static_cast<ptrdiff_t>(s.states);
  std::vector<Expr> out = scan(c.graph(), traced.region, {values.begin(), split},
                               {split, values.end()}, traced.captured, Dim(length));
  for (size_t i = s.states; i < out.size(); ++i) {
    const size_t k = i - s.states;
    if (s.output_reversed[k] != 0) out[i] = reverse(out[i], 0);
    out[i] = with_axis_moved(out[i], 0, c.axis(s.output_axes[k], out[i].rank()));
  }
  return out;
}

void scan_row(OpContext& c) {
  ScanSpec s;
  s.body = c.attr_graph("body");
  const bool batched = c.version() < 9;
  const int first = batched ? 1 : 0;
  const int64_t scanned = c.attr_int("num_scan_inputs");
  if (scanned < 1 || scanned > c.inputs() - first)
    fail("num_scan_inputs is {} for {} inputs", scanned, c.inputs() - first);
  s.scanned = static_cast<size_t>(scanned);
  s.states = static_cast<size_t>(c.inputs() - first) - s.scanned;
  const size_t results = s.body.graph->outputs.size();
  const size_t outputs = results < s.states ? 0 : results - s.states;
  const auto list = [&](std::string_view name, size_t n) {
    const Dims v = c.attr_ints(name, Dims(n, 0));
    if (v.size() != n) fail("attribute '{}' has {} values for {}", name, v.size(), n);
    return v;
  };
  s.input_reversed = list(batched ? "directions" : "scan_input_directions", s.scanned);
  s.output_reversed = batched ? Dims(outputs, 0) : list("scan_output_directions", outputs);
  s.input_axes = batched ? Dims(s.scanned, 0) : list("scan_input_axes", s.scanned);
  s.output_axes = batched ? Dims(outputs, 0) : list("scan_output_axes", outputs);
  std::vector<ElemType> elems;
  if (!batched) {
    const std::vector<Expr> out = scan_once(c, s, c.exprs(), elems);
    for (size_t i = 0; i < out.size(); ++i) c.out(out[i], elems[i]);
    return;
  }
  if (c.has(0)) c.unsupported("lengths of sequences");
  std::vector<std::vector<Expr>> parts(results);
  const int64_t batch = c.rank(1) > 0 ? c.dims(1)[0] : 0;
  if (batch < 1) fail("its input 1 is {}, a batch was expected", c.input(1).signature());
  c.check_count(batch, "sequences");
  for (int64_t b = 0; b < batch; ++b) {
    std::vector<Expr> values;
    for (const Expr& e : c.exprs(1)) values.push_back(squeeze(slice_axis(e, 0, b, 1), 0));
    const std::vector<Expr> out = scan_once(c, s, values, elems);
    for (size_t i = 0; i < out.size(); ++i) parts[i].push_back(expand_dims(out[i], 0));
  }
  for (size_t i = 0; i < results; ++i) c.out(concat(parts[i], 0), elems[i]);
}

constexpr OpRow kRows[] = {
    {"If", 1, if_row},
    {"Loop", 1, loop_row},
    {"Scan", 8, scan_row},
};

}  // namespace

std::span<const OpRow> control_rows() { return kRows; }

}  // namespace lathe::onnx
