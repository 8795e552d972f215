// The typed graph: an append-only, hash-consed list of nodes in topological order.
//
// Adding a node that equals an earlier one (same op, operands, attributes and regions) returns the
// earlier one, so common subexpressions exist once; nodes that no output reaches are dropped when a
// pass rebuilds the graph. Values are immutable; "in place" is a property of graph outputs only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/attrs.h"
#include "ir/type.h"

namespace lathe {

enum class OpId : uint16_t {
#define OP(id) id,
#include "ir/ops/ops.def"
};

struct OpDef;
const OpDef& op_def(OpId op);  // ir/op.h

// Result number `result` of node number `node`.
struct Value {
  uint32_t node = UINT32_MAX;
  uint32_t result = 0;
  bool defined() const { return node != UINT32_MAX; }
  friend auto operator<=>(const Value&, const Value&) = default;
};

class Graph;
// Regions are closed: what they capture is passed as operands. They never change once shared.
using Region = std::shared_ptr<const Graph>;

struct Node {
  OpId op;
  std::vector<Value> operands;
  Attrs attrs;
  Types types;  // of the results
  std::vector<Region> regions;
  std::string name;  // the model's own node name, may be empty; not part of equality
};

enum class InputRole : uint8_t {
  Data,       // given at each run
  Parameter,  // trained weights
  State,      // optimiser moments, moving averages, counters
};

struct GraphInput {
  std::string name;
  TensorType type;
  InputRole role = InputRole::Data;
  Value value;
};

struct GraphOutput {
  std::string name;
  Value value;
  // The graph input whose storage this output replaces after a run, or -1. Types are equal.
  int updates = -1;
};

class Graph {
 public:
  explicit Graph(std::string name = "main") : name_(std::move(name)) {}

  const std::string& name() const { return name_; }
  const std::vector<Node>& nodes() const { return nodes_; }
  const Node& node(Value v) const { return nodes_[v.node]; }
  const TensorType& type(Value v) const { return nodes_[v.node].types[v.result]; }
  const std::vector<GraphInput>& inputs() const { return inputs_; }
  const std::vector<GraphOutput>& outputs() const { return outputs_; }

  Value add_input(std::string name, TensorType type, InputRole role = InputRole::Data);
  // Infers the result types; a violated constraint is thrown as a user error that names the op, the
  // operand types and the constraint. Returns result 0; others are {value.node, r}.
  Value add(OpId op, std::vector<Value> operands, Attrs attrs = NoAttrs{},
            std::vector<Region> regions = {}, std::string name = {});
  void add_output(std::string name, Value value, int updates = -1);
  void set_outputs(std::vector<GraphOutput> outputs) { outputs_ = std::move(outputs); }

  // The name given to nodes added without one, while set: frontends set the model's node name.
  void set_current_name(std::string name) { current_name_ = std::move(name); }

  // A content hash: equal for graphs that print equal.
  uint64_t hash() const;

 private:
  uint64_t node_hash(const Node& n) const;

  std::string name_;
  std::string current_name_;
  std::vector<Node> nodes_;
  std::vector<GraphInput> inputs_;
  std::vector<GraphOutput> outputs_;
  std::unordered_multimap<uint64_t, uint32_t> by_hash_;
};

// True for structurally equal closed graphs.
bool same_graph(const Graph& a, const Graph& b);
// Symbols of all input shapes, in order of appearance.
std::vector<std::string> free_symbols(const Graph& g);

}  // namespace lathe
