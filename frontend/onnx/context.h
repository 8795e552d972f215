// What the translation of one node sees: attributes, inputs, and where results go.
//
// A row of the operator table is a function of an OpContext. It may run more than once (after a
// cut, and once more where a constant result is tried first), so it only reads, builds and sets
// outputs. README.md shows how to write one.
#pragma once

#include <set>

#include "frontend/onnx/trace.h"

namespace lathe::onnx {

class Tracer;

class OpContext {
 public:
  OpContext(Tracer& tracer, const NodeDef& node, int version, Graph& graph);

  Graph& graph() { return graph_; }
  const NodeDef& node() const { return node_; }
  int version() const { return version_; }  // of the node's domain

  // User error and Unsupported; file, node and op are put in front by the tracer.
  template <class... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    fail_unsupported("{}", fmt::format(format, std::forward<Args>(args)...));
  }

  // Inputs. Absent ones only show in has().
  int inputs() const { return static_cast<int>(node_.inputs.size()); }
  bool has(int i) const;
  const Value& input(int i);  // any kind; a required one that is absent is an error
  Expr expr(int i);           // a tensor as a value of the graph
  Expr expr(const Value& v);
  std::vector<Expr> exprs(int from = 0);
  ElemType elem(int i) { return tensor(i).elem; }
  DType dtype(int i) { return carrier(elem(i)); }
  Dims dims(int i) { return tensor(i).dims(); }
  int rank(int i) { return static_cast<int>(dims(i).size()); }
  bool known(int i) { return input(i).kind == Value::Kind::Known; }

  // Contents, which cuts the trace where they are not known yet. need() asks for several at once,
  // which costs one cut instead of several; absent inputs are left out.
  void need(std::initializer_list<int> inputs);
  HostTensor content(int i);
  HostTensor content(const Value& v);
  Dims ints(int i);        // a list of integers, or one
  int64_t integer(int i);  // one integer (or bool), of any rank
  double number(int i);    // one number
  std::vector<double> numbers(int i);
  // The value of an integer that the row itself has computed. Where only a run can tell, the trace
  // is cut and the row then runs again from its start, so it must ask in the same order.
  int64_t computed(const Expr& e);

  // Attributes. Those of a node that are never asked for are an error.
  bool has_attribute(std::string_view name);
  int64_t attr_int(std::string_view name, std::optional<int64_t> missing = {});
  double attr_float(std::string_view name, std::optional<double> missing = {});
  std::string attr_text(std::string_view name, std::optional<std::string> missing = {});
  Dims attr_ints(std::string_view name, Dims missing = {});
  std::vector<double> attr_floats(std::string_view name, std::vector<double> missing = {});
  std::vector<std::string> attr_texts(std::string_view name);
  HostTensor attr_tensor(std::string_view name);
  DeclaredType attr_type(std::string_view name);
  Subgraph attr_graph(std::string_view name);
  // For attributes that change nothing here.
  void ignore(std::initializer_list<std::string_view> names);

  // For what a row enumerates itself (positions along an axis, items): a count beyond what the
  // model may still compute while loading is an error before memory and time go into it.
  void check_count(int64_t count, std::string_view what);
  // Of the elements of a table, which may be too many to be counted.
  void check_table(const Dims& dims, std::string_view what);

  // A possibly negative axis of `rank` axes.
  int64_t axis(int64_t value, int64_t rank) const;
  Dims axes(Dims values, int64_t rank) const;  // sorted; twice the same is an error

  // Results, in the order of outputs unless numbered. wants(): somebody reads it.
  int outputs() const { return static_cast<int>(node_.outputs.size()); }
  bool wants(int k) const;
  void out(Expr e) { out(next_, e); }
  void out(int k, Expr e) { out(k, Value::of(e, elem_of(e.dtype()))); }
  void out(Expr e, ElemType elem) { out(next_, Value::of(e, elem)); }
  void out(Value v) { out(next_, std::move(v)); }
  void out(HostTensor t) { out(Value::of(std::move(t))); }
  void out(int k, Value v);

  // Instead of outputs. The results of fn are the outputs. Where all inputs are known it runs at
  // once. The first `required` inputs must be there; fn asks about the others.
  void host(HostFn fn, int required = 1) {
    for (int i = 0; i < required; ++i) input(i);
    host(std::move(fn), all_inputs());
  }
  void host(HostFn fn, std::vector<Value> inputs);
  // The same, never run while tracing: for functions that use their services or are random.
  void host_at_run(HostFn fn, std::vector<Value> inputs);
  std::vector<Value> all_inputs();
  // What a subgraph takes from around it.
  std::vector<Value> captured(const Subgraph& subgraph);

  // Instead of outputs: traces a subgraph in place on `inputs`, then `after` (default: its outputs
  // are the node's).
  void expand(const Subgraph& subgraph, std::vector<Value> inputs, Continuation after = {});

  // The subgraph as a closed region on inputs of the given types, for the graph's own control flow.
  struct TracedRegion {
    Region region;  // null where it cannot be one
    std::string why_not;
    std::vector<Expr> captured;  // further operands, after those for `inputs`
    std::vector<ElemType> results;
  };
  TracedRegion region(const Subgraph& subgraph, const std::vector<Value>& inputs);
  // The part of the graph around this node that leads from values of these names to another, as a
  // region on this node's inputs, which stand for them.
  TracedRegion region(const std::vector<std::string>& from, const std::string& to);

 private:
  friend class Tracer;
  const AttributeDef* attribute(std::string_view name, AttributeDef::Kind kind);
  void check_attributes() const;
  [[noreturn]] void missing_attribute(std::string_view name) const;
  const Value& tensor(int i);

  Tracer& tracer_;
  const NodeDef& node_;
  int version_;
  Graph& graph_;
  std::set<std::string, std::less<>> asked_;
  std::vector<Value> results_;
  int next_ = 0;
  size_t computed_ = 0;  // asked for so far
  NodeCounts inside_;    // of regions
  // The alternatives to results.
  bool deferred_ = false;  // host or expand
  bool host_at_run_ = false;
  HostFn host_;
  std::vector<Value> host_inputs_;
  Subgraph expand_;
  std::vector<Value> expand_inputs_;
  Continuation after_;
};

}  // namespace lathe::onnx
