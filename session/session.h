// Running a model whose graphs depend on what it is run with.
//
// A model is traced (frontend/onnx/trace.h) for the types of its inputs. Each stage is compiled
// once; what follows a stage depends on the contents it decides on, or on the types that its host
// step gives, so the stages form a tree, one path of which a run walks. Another run with the same
// types and decisions translates and compiles nothing. The tree is bounded: the stages that have
// not been used for longest go first.
#pragma once

#include <map>
#include <memory>

#include "backends/compile.h"
#include "frontend/onnx/trace.h"
#include "runtime/shared_literals.h"

namespace lathe {

struct SessionOptions {
  CompileOptions compile;
  bool evaluate = false;     // by reference evaluation (ir/eval.h), without kernels
  size_t most_stages = 256;  // kept compiled
};

class Session {
 public:
  Session(std::shared_ptr<const onnx::ModelDef> model, SessionOptions options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const onnx::ModelDef& model() const { return *model_; }

  // The model's outputs, in order. `inputs` by name, each as the model declares it. One run at a
  // time.
  std::vector<onnx::Value> run(const std::vector<std::pair<std::string, onnx::Value>>& inputs);

  // Until the kernels of all stages kept are those that they will keep
  // (CompileOptions::wait_compile).
  void wait_for_kernels();

  struct Counts {
    size_t kept = 0;       // stages compiled and kept
    int64_t compiled = 0;  // since the beginning
    int64_t host_steps = 0;
  };
  Counts counts() const;

  // Where the latest run spent its time, and what became of the nodes that it came by (those of
  // subgraphs that ran in host steps included, each time).
  struct Report {
    onnx::NodeCounts nodes;
    int64_t stages = 0, kernels = 0;  // kernels: of those stages
    int64_t arena_bytes = 0;          // the largest of a stage
    double total_seconds = 0;
    double compiled_seconds = 0;  // in compiled stages
    double translation_seconds =
        0;  // tracing and compiling what was not cached; the rest are steps
  };
  const Report& report() const { return report_; }

 private:
  struct Node;
  struct Tree;
  struct Active;
  class Services;
  std::vector<onnx::Value> walk(Tree& tree, const std::string& key,
                                const std::function<onnx::TraceState()>& begin,
                                std::vector<onnx::HostTensor> slots);
  std::vector<onnx::Value> run_subgraph(const onnx::Subgraph& subgraph,
                                        const std::vector<onnx::Value>& inputs);
  Node& child(Tree& tree, Node* parent, const std::string& key,
              const std::function<onnx::TraceState()>& state);
  void execute(Node& node, std::vector<onnx::HostTensor>& slots);
  void evict();

  std::shared_ptr<const onnx::ModelDef> model_;
  SessionOptions options_;
  SharedLiterals literals_;  // of all stages
  std::unique_ptr<Tree> main_;
  std::map<std::pair<const onnx::GraphDef*, const onnx::CallScope*>, std::unique_ptr<Tree>> trees_;
  uint64_t clock_ = 0;
  std::vector<const Node*> running_;  // one for each run of a (sub)graph in progress
  Counts counts_;
  Report report_;
};

}  // namespace lathe
