// The machine behind trace(): frames, names, cuts. Rows see it through OpContext.
#pragma once

#include "frontend/onnx/context.h"
#include "frontend/onnx/table.h"

namespace lathe::onnx {

// Thrown through rows, caught by the tracer: the contents of these values are needed.
struct NeedContents {
  std::vector<Value> values;
};

class Tracer {
 public:
  explicit Tracer(TraceState state);
  Stage run();

  // A name visible to the node that runs; null where it is absent.
  const Value* find(const std::string& name);
  const CallScope& scope() const { return *state_.frames[current_].scope; }
  std::shared_ptr<const CallScope> shared_scope() const { return state_.frames[current_].scope; }
  const GraphDef& graph() const { return *state_.frames[current_].graph; }
  Expr expr(const Value& v, Graph& target);
  const TraceState& state() const { return state_; }
  // Counts elements that are computed while tracing. Throws LimitExceeded.
  void spend(int64_t elements, std::string_view what);
  // For the trace of a region, which spends of the same limits.
  void enter(TraceState& inner) const;
  // What the node that runs has asked for of its own.
  std::vector<Value>& computed() { return state_.frames[current_].computed; }
  // True of a graph that is evaluated while tracing.
  bool is_scratch(const Graph& g) const { return &g != &stage_.graph; }

 private:
  enum class Next : uint8_t { GoOn, Cut };

  const Value* find_in(int frame, const std::string& name);
  Next step();
  void count_node();
  Next finish_frame();
  Next run_row(const NodeDef& node);
  bool fold(const NodeDef& node, int version, const OpRow& row);
  bool may_fold(const NodeDef& node, const OpRow& row);
  void call_function(const NodeDef& node, const FunctionDef& function);
  Next settle(OpContext& c);
  bool run_host_now(OpContext& c);
  void count(const OpContext& c);
  void count_step(OpContext& c);
  void go_on(Frame& f);
  void bind_results(OpContext& c);
  void push(const Subgraph& what, int parent, const std::vector<Value>& inputs, Continuation after);
  void cut_decide(const std::vector<Value>& needed);
  void cut_host(OpContext& c);
  void finish();
  void prune();
  void to_slots();
  int slot_of(const Expr& e);
  Expr slot_input(int slot, const TensorType& type);
  int version_of(const NodeDef& node) const;
  std::string place(const NodeDef& node) const;
  const NodeDef& waiting_node(size_t frame) const;
  template <class F>
  Next guarded(const NodeDef& node, F&& body);

  TraceState state_;
  Stage stage_;
  size_t current_ = 0;                      // the frame whose node runs
  std::map<int, Expr> slot_inputs_;         // slots that are inputs of the stage's graph
  std::map<lathe::Value, int> expr_slots_;  // its values that have a slot
  std::map<std::string, Expr> parameters_;
  std::map<std::pair<const GraphDef*, size_t>, Value> initializers_;  // those that were read
};

}  // namespace lathe::onnx
