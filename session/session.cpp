#include "session/session.h"

#include <algorithm>
#include <chrono>

#include "ir/eval.h"
#include "runtime/cpu.h"

namespace lathe {

using onnx::HostTensor;
using onnx::Stage;
using onnx::Subgraph;
using onnx::TraceState;
using Values = std::vector<onnx::Value>;

struct Session::Node {
  Stage stage;
  std::unique_ptr<Executable> executable;  // null: nothing to compute, or evaluated
  std::map<std::string, std::unique_ptr<Node>> next;
  uint64_t used = 0;
};

struct Session::Tree {
  std::map<std::string, std::unique_ptr<Node>> roots;
  std::shared_ptr<const onnx::CallScope> scope;  // keeps the key's address taken
};

class Session::Services : public onnx::HostServices {
 public:
  explicit Services(Session& session) : session_(session) {}
  Values run(const Subgraph& subgraph, const Values& inputs) override {
    return session_.run_subgraph(subgraph, inputs);
  }

 private:
  Session& session_;
};

// The stage that a walk has come to, which must not be evicted.
struct Session::Active {
  explicit Active(std::vector<const Node*>& running) : running_(running) {
    running_.push_back(nullptr);
  }
  ~Active() { running_.pop_back(); }
  Active(const Active&) = delete;
  Active& operator=(const Active&) = delete;
  std::vector<const Node*>& running_;
};

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr size_t kMostNested = 100;  // runs of subgraphs in runs of subgraphs

// Keys are bytes, not texts: they are made for every run.
template <class T>
void append_bytes(std::string& key, const T* from, size_t count) {
  key.append(reinterpret_cast<const char*>(from), count * sizeof(T));
}

void append_type(std::string& key, onnx::ElemType elem, const Dims& dims) {
  const size_t rank = dims.size();
  append_bytes(key, &elem, 1);
  append_bytes(key, &rank, 1);
  append_bytes(key, dims.data(), rank);
}

// What Value::signature() says.
void append_key(std::string& key, const onnx::Value& v) {
  const auto kind = v.is_tensor() ? onnx::Value::Kind::Known : v.kind;
  append_bytes(key, &kind, 1);
  if (v.is_tensor()) return append_type(key, v.elem, v.known.dims());
  const size_t items = v.items ? v.items->size() : 0;
  append_bytes(key, &v.elem, 1);
  append_bytes(key, &items, 1);
  for (size_t i = 0; i < items; ++i) append_key(key, (*v.items)[i]);
}

std::string key_of(const Values& values) {
  std::string out;
  for (const onnx::Value& v : values) append_key(out, v);
  return out;
}

std::string content_key(const std::vector<HostTensor>& tensors) {
  std::string out;
  for (const HostTensor& t : tensors) {
    append_type(out, t.elem, t.dims());
    if (!t.is_string()) {
      append_bytes(out, static_cast<const char*>(t.numbers.raw()),
                   static_cast<size_t>(t.numbers.bytes()));
      continue;
    }
    for (const std::string& s : *t.strings) out.append(s).push_back('\0');
  }
  return out;
}

// The tensors of the run in place of slots.
Values filled(Values values, const std::vector<HostTensor>& slots) {
  for (onnx::Value& v : values)
    onnx::for_each_leaf(v, [&](onnx::Value& leaf) {
      if (leaf.kind != onnx::Value::Kind::Slot) return;
      HostTensor t = slots[static_cast<size_t>(leaf.slot)];
      t.elem = leaf.elem;
      leaf = onnx::Value::of(std::move(t));
    });
  return values;
}

void append_tensors(const onnx::Value& v, std::vector<HostTensor>& slots) {
  if (v.is_tensor()) slots.push_back(v.known);
  if (!v.items) return;
  for (const onnx::Value& item : *v.items) append_tensors(item, slots);
}
void append_tensors(const Values& values, std::vector<HostTensor>& slots) {
  for (const onnx::Value& v : values) append_tensors(v, slots);
}

}  // namespace

Session::Session(std::shared_ptr<const onnx::ModelDef> model, SessionOptions options)
    : model_(std::move(model)), options_(std::move(options)), main_(std::make_unique<Tree>()) {
  CompileOptions& c = options_.compile;
  if (!c.arena) c.arena = std::make_shared<Arena>();
  if (!c.pool && !options_.evaluate) c.pool = std::make_shared<ThreadPool>(thread_count(c.threads));
}

Session::~Session() = default;

Session::Counts Session::counts() const { return counts_; }

Values Session::run(const std::vector<std::pair<std::string, onnx::Value>>& inputs) {
  report_ = {};
  const double begun = now();
  std::string key;
  std::vector<HostTensor> slots;
  for (const auto& [name, value] : inputs) {
    key.append(name).push_back('\0');
    append_key(key, value);
    append_tensors(value, slots);
  }
  Values results =
      walk(*main_, key, [&] { return onnx::begin(model_, inputs, {}); }, std::move(slots));
  report_.total_seconds = now() - begun;
  return results;
}

Values Session::run_subgraph(const Subgraph& subgraph, const Values& inputs) {
  std::unique_ptr<Tree>& tree = trees_[{subgraph.graph, subgraph.scope.get()}];
  if (!tree) tree = std::make_unique<Tree>();
  tree->scope = subgraph.scope;
  if (running_.size() >= kMostNested)
    fail("{}: subgraphs run more than {} deep", model_->path, kMostNested);
  std::vector<HostTensor> slots;
  append_tensors(inputs, slots);
  return walk(
      *tree, key_of(inputs), [&] { return onnx::begin(model_, subgraph, inputs, {}); },
      std::move(slots));
}

Values Session::walk(Tree& tree, const std::string& key, const std::function<TraceState()>& begin,
                     std::vector<HostTensor> slots) {
  Active active(running_);
  Node* node = &child(tree, nullptr, key, begin);
  for (;;) {
    running_.back() = node;
    execute(*node, slots);
    const Stage& stage = node->stage;
    if (stage.end == Stage::End::Finished) return filled(stage.values, slots);
    if (stage.end == Stage::End::Decide) {
      std::vector<HostTensor> contents;
      for (const int slot : stage.decided) contents.push_back(slots[static_cast<size_t>(slot)]);
      node =
          &child(tree, node, content_key(contents), [&] { return onnx::resume(stage, contents); });
      continue;
    }
    Services services(*this);
    Values results;
    ++counts_.host_steps;
    try {
      results = stage.host(services, filled(stage.values, slots));
    } catch (const Error& e) {
      if (std::string_view(e.what()).starts_with(model_->path + ": ")) throw;
      throw Error(e.kind(), fmt::format("{}: {}", stage.place, e.what()));
    } catch (const std::bad_alloc&) {
      fail("{}: out of memory", stage.place);
    } catch (const std::length_error&) {  // more than any memory
      fail("{}: out of memory", stage.place);
    }
    slots.resize(static_cast<size_t>(stage.rest.slots));
    append_tensors(results, slots);
    node = &child(tree, node, key_of(results), [&] { return onnx::resume(stage, results); });
  }
}

Session::Node& Session::child(Tree& tree, Node* parent, const std::string& key,
                              const std::function<TraceState()>& state) {
  auto& next = parent == nullptr ? tree.roots : parent->next;
  if (const auto it = next.find(key); it != next.end()) {
    it->second->used = ++clock_;
    return *it->second;
  }
  const double begun = now();
  auto node = std::make_unique<Node>();
  node->stage = onnx::trace(state());
  node->used = ++clock_;
  if (!node->stage.graph.outputs().empty() && !options_.evaluate) {
    Program program = compile_program(node->stage.graph, options_.compile);
    literals_.share(program.plan);
    node->executable = make_executable(program, options_.compile);
  }
  report_.translation_seconds += now() - begun;
  ++counts_.compiled;
  ++counts_.kept;
  Node& made = *(next[key] = std::move(node));
  running_.back() = &made;
  evict();
  return made;
}

// Removes the leaves of the trees that were used least recently, but none that a run has come to.
void Session::evict() {
  while (counts_.kept > options_.most_stages) {
    std::map<std::string, std::unique_ptr<Node>>* owner = nullptr;
    std::map<std::string, std::unique_ptr<Node>>::iterator oldest;
    const std::function<void(std::map<std::string, std::unique_ptr<Node>>&)> search =
        [&](std::map<std::string, std::unique_ptr<Node>>& nodes) {
          for (auto it = nodes.begin(); it != nodes.end(); ++it) {
            if (!it->second->next.empty()) search(it->second->next);
            else if (std::find(running_.begin(), running_.end(), it->second.get()) ==
                         running_.end() &&
                     (owner == nullptr || it->second->used < oldest->second->used))
              owner = &nodes, oldest = it;
          }
        };
    search(main_->roots);
    for (auto& [key, tree] : trees_) search(tree->roots);
    if (owner == nullptr) return;
    owner->erase(oldest);
    literals_.forget();  // perhaps its own
    --counts_.kept;
  }
}

void Session::wait_for_kernels() {
  const std::function<void(const std::map<std::string, std::unique_ptr<Node>>&)> wait =
      [&](const auto& nodes) {
        for (const auto& [key, node] : nodes) {
          if (node->executable) node->executable->wait_for_kernels();
          wait(node->next);
        }
      };
  wait(main_->roots);
  for (const auto& [key, tree] : trees_) wait(tree->roots);
}

void Session::execute(Node& node, std::vector<HostTensor>& slots) {
  const Stage& stage = node.stage;
  ++report_.stages;
  report_.nodes.add(stage.nodes);
  slots.resize(static_cast<size_t>(stage.rest.slots));
  if (stage.graph.outputs().empty()) return;
  const double begun = now();
  std::vector<Tensor> inputs;
  for (const int slot : stage.inputs) inputs.push_back(slots[static_cast<size_t>(slot)].numbers);
  std::vector<Tensor> results;
  try {
    results = node.executable ? node.executable->run(inputs) : evaluate(stage.graph, inputs);
  } catch (const Error& e) {
    throw Error(e.kind(), fmt::format("{}: {}", model_->path, e.what()));
  }
  for (size_t i = 0; i < results.size(); ++i)
    slots[static_cast<size_t>(stage.outputs[i])].numbers = std::move(results[i]);
  report_.compiled_seconds += now() - begun;
  if (!node.executable) return;
  report_.kernels += node.executable->plan().kernels;
  report_.arena_bytes = std::max(report_.arena_bytes, node.executable->arena_bytes());
}

}  // namespace lathe
