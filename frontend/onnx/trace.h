// From a linked model to graphs, by running through its nodes once.
//
// The types of the inputs are given, so every shape is a number, and what depends on shapes alone
// folds to constants on the way. Where an op needs contents that only a run can tell, or is not
// computed by a graph at all, the trace is cut: what was built so far is a Stage, which is compiled
// and run, and the trace goes on from its end with more known. A model without cuts is one stage.
//
// All that crosses from one stage to another lies in slots, numbered tensors of one run. A
// TraceState is a value: it is copied to go on from one stage's end in more than one way.
#pragma once

#include <functional>
#include <unordered_map>

#include "frontend/onnx/value.h"
#include "ir/graph.h"

namespace lathe::onnx {

class OpContext;

// What the nodes of one function body, or of the main graph, share.
struct CallScope {
  OpsetVersions opsets;
  std::map<std::string, AttributeDef> attributes;  // of the call, for attributes that refer to them
};

// A subgraph where it stands: with what it refers to.
struct Subgraph {
  const GraphDef* graph = nullptr;
  std::shared_ptr<const CallScope> scope;
};

// What steps outside of graphs may ask of the session.
class HostServices {
 public:
  virtual ~HostServices() = default;
  // `inputs`: those of the subgraph, then its captures.
  virtual std::vector<Value> run(const Subgraph& subgraph, const std::vector<Value>& inputs) = 0;
};

// An op on contents: all leaves of its inputs and results are Known.
using HostFn =
    std::function<std::vector<Value>(HostServices& services, const std::vector<Value>& inputs)>;

// What happens when a subgraph that a node asked to be traced has been: `saved` is what the node
// kept for it, `results` are the subgraph's outputs. It may set outputs or ask for another trace.
struct Continuation {
  std::function<void(OpContext& c, const std::vector<Value>& saved,
                     const std::vector<Value>& results)>
      then;
  std::vector<Value> saved;
};

struct Frame {
  const GraphDef* graph = nullptr;
  std::shared_ptr<const CallScope> scope;
  size_t next = 0;  // node; the one that waits while frames above it run
  int parent = -1;  // the frame whose names are visible here
  std::unordered_map<std::string, Value> env;
  std::vector<Value> computed;  // what that node asked for of its own (OpContext::computed)
  Continuation after;
};

struct TraceOptions {
  // Floating-point initializers become graph inputs of role Parameter, under their names.
  bool parameters = false;
  // The first stage has every input of the model as input and, if it is the last one, every output
  // as output, under their names.
  bool whole = false;
};

struct TraceState {
  std::shared_ptr<const ModelDef> model;
  TraceOptions options;
  std::vector<Frame> frames;
  int slots = 0;                         // how many there are
  std::vector<std::string> input_names;  // of the first slots
  // Of the model's limits so far; regions spend of those of what is around them.
  std::shared_ptr<LoadLimits> spent = std::make_shared<LoadLimits>(LoadLimits{0, 0});
  int depth = 0;         // regions around this one
  bool at_start = true;  // no stage has been traced yet
};

// Where the nodes of a stage went.
struct NodeCounts {
  int64_t folded = 0;                    // known, or moved, while tracing: nothing is left to run
  int64_t compiled = 0;                  // in the stage's graph
  std::map<std::string, int64_t> steps;  // host steps, by op
  // Those of them that read floats and run no subgraph.
  std::map<std::string, int64_t> steps_on_floats;

  void add(const NodeCounts& other);
};

struct Stage {
  enum class End : uint8_t { Finished, Decide, Host };
  Graph graph;
  std::vector<int> inputs, outputs;  // slots, in the order of the graph's inputs and outputs
  End end = End::Finished;
  std::string place;          // the node that cuts
  std::vector<int> decided;   // Decide: slots whose contents the rest depends on
  HostFn host;                // Host
  std::vector<Value> values;  // Host: its inputs. Finished: the results. Leaves: Known or Slot.
  std::map<std::string, Tensor> parameters;  // values of the graph's inputs of that role
  TraceState rest;                           // from here on
  NodeCounts nodes;
};

// Inputs by name; their tensors get slots 0, 1, .. in order. An initializer that is given too is
// overridden. Errors: an input that is missing or of another type than the model declares.
TraceState begin(std::shared_ptr<const ModelDef> model,
                 const std::vector<std::pair<std::string, Value>>& inputs, TraceOptions options);
// The same for a subgraph: its inputs, then its captures.
TraceState begin(std::shared_ptr<const ModelDef> model, const Subgraph& subgraph,
                 const std::vector<Value>& inputs, TraceOptions options);

// The same for a region: what is Known of the captures stays known.
TraceState begin_region(std::shared_ptr<const ModelDef> model, const Subgraph& subgraph,
                        const std::vector<Value>& inputs, TraceOptions options);

// Up to the next cut or the end. Errors name the file and the node.
Stage trace(TraceState state);

// After a Decide: the contents of `decided`, in order.
TraceState resume(const Stage& stage, const std::vector<HostTensor>& contents);
// After a Host step: its results, whose tensors get the next slots in order.
TraceState resume(const Stage& stage, const std::vector<Value>& results);

}  // namespace lathe::onnx
