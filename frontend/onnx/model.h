// An ONNX file as plain data: what reader.h makes of the messages.
//
// Graphs are linked: nodes are in topological order, every name that a node reads is defined before
// it (or in an enclosing graph), and each graph knows what it takes from around it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "frontend/onnx/types.h"
#include "ir/base/tensor.h"

namespace lathe::onnx {

// A tensor of any element type: numbers in the carrier's dtype, or strings.
struct HostTensor {
  ElemType elem = ElemType::Undefined;
  Tensor numbers;  // undefined for strings
  std::shared_ptr<const std::vector<std::string>> strings;
  Dims string_dims;

  HostTensor() = default;
  HostTensor(Tensor t) : elem(elem_of(t.dtype())), numbers(std::move(t)) {}
  HostTensor(ElemType e, Tensor t) : elem(e), numbers(std::move(t)) {}
  HostTensor(Dims dims, std::vector<std::string> texts)
      : elem(ElemType::String),
        strings(std::make_shared<const std::vector<std::string>>(std::move(texts))),
        string_dims(std::move(dims)) {}

  bool is_string() const { return strings != nullptr; }
  const Dims& dims() const { return is_string() ? string_dims : numbers.dims(); }
  std::string type_text() const;  // "float[2,3]"
};

// A dim of a declared shape: a number, a symbol, or neither.
struct DeclaredDim {
  std::optional<int64_t> value;
  std::string symbol;
};

struct DeclaredType {
  enum class Kind : uint8_t { None, Tensor, Sequence, Optional, Map, Sparse };
  Kind kind = Kind::None;
  ElemType elem = ElemType::Undefined;           // Tensor; of the keys of a Map
  std::optional<std::vector<DeclaredDim>> dims;  // Tensor: none where the rank is free
  std::shared_ptr<const DeclaredType> element;   // of Sequence and Optional; a Map's values
  std::string text() const;
};

struct ValueDef {
  std::string name;
  DeclaredType type;
};

struct GraphDef;

struct AttributeDef {
  enum class Kind : uint8_t {  // the numbers of AttributeProto.AttributeType
    Undefined,
    Float,
    Int,
    String,
    Tensor,
    Graph,
    Floats,
    Ints,
    Strings,
    Tensors,
    Graphs,
    SparseTensor,
    SparseTensors,
    Type,
    Types,
  };
  std::string name;
  std::string refers_to;  // in functions: the attribute of the call that gives the value
  Kind kind = Kind::Undefined;
  float f = 0;
  int64_t i = 0;
  std::string s;
  HostTensor tensor;  // a sparse one is made dense
  std::shared_ptr<const GraphDef> graph;
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<std::string> strings;
  std::vector<HostTensor> tensors;
  DeclaredType type;
};

std::string_view kind_name(AttributeDef::Kind kind);

struct NodeDef {
  std::string name, op, domain, overload;    // domain "" is ai.onnx
  std::vector<std::string> inputs, outputs;  // "" where an optional one is absent
  std::vector<AttributeDef> attributes;
  const AttributeDef* find(std::string_view attribute) const;
};

struct GraphDef {
  std::string name;
  std::vector<NodeDef> nodes;
  std::vector<ValueDef> inputs, outputs;
  std::vector<std::pair<std::string, HostTensor>> initializers;
  std::vector<ValueDef> value_info;

  // Names taken from enclosing graphs, in order of first use.
  std::vector<std::string> captures;
  // Position of the last node that reads a name; nodes.size() for outputs.
  std::unordered_map<std::string, size_t> last_use;
  std::unordered_map<std::string, size_t> initializer_index;
};

using OpsetVersions = std::map<std::string, int64_t>;  // by domain

struct FunctionDef {
  std::string domain, name, overload;
  std::vector<std::string> attributes;   // names without a default
  std::vector<AttributeDef> defaults;    // attributes with one
  std::shared_ptr<const GraphDef> body;  // inputs and outputs have names only
  OpsetVersions opsets;
};

// What a model may ask for while it is loaded. A small file can unfold to any number of nodes and
// name any shape, so more than this is an error before memory and time go into it.
struct LoadLimits {
  // Nodes with those of functions, branches and bodies wherever they are used.
  int64_t nodes = int64_t{1} << 16;
  // Elements that are computed while loading: of folded nodes, and of tables that nodes become.
  int64_t elements = int64_t{1} << 25;
};

// The model asks for more than its limits.
class LimitExceeded : public Error {
 public:
  explicit LimitExceeded(const std::string& message) : Error(ErrorKind::User, message) {}
};

struct ModelDef {
  std::string path;  // for messages
  LoadLimits limits;
  int64_t ir_version = 0;
  OpsetVersions opsets;
  std::shared_ptr<const GraphDef> graph;
  std::vector<FunctionDef> functions;

  const FunctionDef* find_function(const NodeDef& node) const;
};

// Inputs of the graph that no initializer gives a value, in order.
std::vector<ValueDef> required_inputs(const GraphDef& graph);

}  // namespace lathe::onnx
