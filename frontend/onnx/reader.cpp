#include "frontend/onnx/reader.h"

#include <algorithm>
#include <filesystem>

#include "frontend/onnx/link.h"
#include "frontend/onnx/tensor_reader.h"

namespace lathe::onnx {
namespace {

// Graphs in attributes of graphs, and types in types: deeper than any model, and no stack overflow.
constexpr int kMostNested = 40;

class ModelReader {
 public:
  explicit ModelReader(Source& source) : source_(source) {}

  std::shared_ptr<const ModelDef> model(WireReader r);
  DeclaredType type(WireReader r);
  Value value(WireReader r, const DeclaredType& type);

 private:
  GraphDef graph(WireReader r);
  NodeDef node(WireReader r);
  AttributeDef attribute(WireReader r);
  ValueDef value_info(WireReader r);
  FunctionDef function(WireReader r);
  void tensor_type(WireReader r, DeclaredType& out);
  Value sequence(WireReader r, const DeclaredType& type);
  Value optional(WireReader r, const DeclaredType& type);
  Value map(WireReader r);

  struct Nested {
    explicit Nested(ModelReader& reader) : reader_(reader) {
      if (++reader.depth_ > kMostNested)
        fail("{}: graphs or types are nested more than {} deep", reader.source_.path, kMostNested);
    }
    ~Nested() { --reader_.depth_; }
    ModelReader& reader_;
  };

  Source& source_;
  int depth_ = 0;
};

// "ai.onnx" is another spelling of the default domain.
std::string domain_of(std::string text) { return text == "ai.onnx" ? "" : text; }

void read_opset(WireReader r, OpsetVersions& out) {
  std::string domain;
  int64_t version = 0;
  while (r.next()) {
    if (r.field() == 1) domain = domain_of(r.text());
    else if (r.field() == 2) version = r.integer();
    else r.skip();
  }
  if (domain.empty() && (version < 1 || version > kNewestOpset))
    fail_unsupported("{}: opset {} of ai.onnx; this version reads 1 to {}", r.file(), version,
                     kNewestOpset);
  out[domain] = version;
}

DeclaredDim read_dim(WireReader r) {
  DeclaredDim out;
  while (r.next()) {
    if (r.field() == 1) {
      // Some exporters write -1 for a free dim.
      if (const int64_t value = r.integer(); value >= 0) out.value = value;
    } else if (r.field() == 2) {
      out.symbol = r.text();
      if (out.symbol == "?") out.symbol.clear();  // exporters' word for any, not one, size
    } else {
      r.skip();
    }
  }
  return out;
}

std::vector<DeclaredDim> read_shape(WireReader r) {
  std::vector<DeclaredDim> out;
  while (r.next()) {
    if (r.field() == 1) out.push_back(read_dim(r.message()));
    else r.skip();
  }
  return out;
}

void ModelReader::tensor_type(WireReader r, DeclaredType& out) {
  while (r.next()) {
    if (r.field() == 1) out.elem = elem_type(r.integer());
    else if (r.field() == 2) out.dims = read_shape(r.message());
    else r.skip();
  }
}

DeclaredType ModelReader::type(WireReader r) {
  const Nested nested(*this);
  DeclaredType out;
  const auto read_element = [&](WireReader inner, int element_field) {
    while (inner.next()) {
      if (inner.field() == element_field)
        out.element = std::make_shared<const DeclaredType>(type(inner.message()));
      else if (inner.field() == 1) out.elem = elem_type(inner.integer());
      else inner.skip();
    }
  };
  while (r.next()) switch (r.field()) {
      case 1: out.kind = DeclaredType::Kind::Tensor, tensor_type(r.message(), out); break;
      case 4: out.kind = DeclaredType::Kind::Sequence, read_element(r.message(), 1); break;
      case 5: out.kind = DeclaredType::Kind::Map, read_element(r.message(), 2); break;
      case 8: out.kind = DeclaredType::Kind::Sparse, tensor_type(r.message(), out); break;
      case 9: out.kind = DeclaredType::Kind::Optional, read_element(r.message(), 1); break;
      default: r.skip();
    }
  return out;
}

ValueDef ModelReader::value_info(WireReader r) {
  ValueDef out;
  while (r.next()) {
    if (r.field() == 1) out.name = r.text();
    else if (r.field() == 2) out.type = type(r.message());
    else r.skip();
  }
  return out;
}

// Old files (IR version 1 and 2) leave the type out: it is that of the field that is there.
AttributeDef ModelReader::attribute(WireReader r) {
  using Kind = AttributeDef::Kind;
  AttributeDef out;
  Kind seen = Kind::Undefined;
  while (r.next()) {
    switch (r.field()) {
      case 1: out.name = r.text(); break;
      case 2: out.f = r.f32(), seen = Kind::Float; break;
      case 3: out.i = r.integer(), seen = Kind::Int; break;
      case 4: out.s = r.text(), seen = Kind::String; break;
      case 5: out.tensor = read_tensor(r.message(), source_).tensor, seen = Kind::Tensor; break;
      case 6:
        out.graph = std::make_shared<const GraphDef>(graph(r.message()));
        seen = Kind::Graph;
        break;
      case 7: r.append(out.floats), seen = Kind::Floats; break;
      case 8: r.append(out.ints), seen = Kind::Ints; break;
      case 9: out.strings.push_back(r.text()), seen = Kind::Strings; break;
      case 10:
        out.tensors.push_back(read_tensor(r.message(), source_).tensor);
        seen = Kind::Tensors;
        break;
      case 14: out.type = type(r.message()), seen = Kind::Type; break;
      case 20: {
        const int64_t kind = r.integer();
        if (kind < 0 || kind > static_cast<int64_t>(Kind::Types))
          fail("{}: attribute '{}' has the unknown type {}", source_.path, out.name, kind);
        out.kind = static_cast<Kind>(kind);
        break;
      }
      case 21: out.refers_to = r.text(); break;
      case 22:
        out.tensor = read_sparse_tensor(r.message(), source_).tensor;
        seen = Kind::SparseTensor;
        break;
      default: r.skip();
    }
  }
  if (out.kind == Kind::Undefined) out.kind = seen;
  return out;
}

NodeDef ModelReader::node(WireReader r) {
  NodeDef out;
  while (r.next()) switch (r.field()) {
      case 1: out.inputs.push_back(r.text()); break;
      case 2: out.outputs.push_back(r.text()); break;
      case 3: out.name = r.text(); break;
      case 4: out.op = r.text(); break;
      case 5: out.attributes.push_back(attribute(r.message())); break;
      case 7: out.domain = domain_of(r.text()); break;
      case 8: out.overload = r.text(); break;
      default: r.skip();
    }
  return out;
}

GraphDef ModelReader::graph(WireReader r) {
  const Nested nested(*this);
  GraphDef out;
  while (r.next()) switch (r.field()) {
      case 1: out.nodes.push_back(node(r.message())); break;
      case 2: out.name = r.text(); break;
      case 5:
      case 15: {
        NamedHostTensor t = r.field() == 5 ? read_tensor(r.message(), source_)
                                           : read_sparse_tensor(r.message(), source_);
        out.initializers.emplace_back(std::move(t.name), std::move(t.tensor));
        break;
      }
      case 11: out.inputs.push_back(value_info(r.message())); break;
      case 12: out.outputs.push_back(value_info(r.message())); break;
      case 13: out.value_info.push_back(value_info(r.message())); break;
      default: r.skip();
    }
  link_graph(out, source_.path);
  return out;
}

FunctionDef ModelReader::function(WireReader r) {
  FunctionDef out;
  GraphDef body;
  while (r.next()) switch (r.field()) {
      case 1: out.name = r.text(); break;
      case 4: body.inputs.push_back({r.text(), {}}); break;
      case 5: body.outputs.push_back({r.text(), {}}); break;
      case 6: out.attributes.push_back(r.text()); break;
      case 7: body.nodes.push_back(node(r.message())); break;
      case 9: read_opset(r.message(), out.opsets); break;
      case 10: out.domain = domain_of(r.text()); break;
      case 11: out.defaults.push_back(attribute(r.message())); break;
      case 13: out.overload = r.text(); break;
      default: r.skip();
    }
  body.name = out.name;
  link_graph(body, source_.path);
  check_closed(body, source_.path);
  out.body = std::make_shared<const GraphDef>(std::move(body));
  return out;
}

std::shared_ptr<const ModelDef> ModelReader::model(WireReader r) {
  const auto out = std::make_shared<ModelDef>();
  out->path = source_.path;
  out->limits = source_.limits;
  while (r.next()) switch (r.field()) {
      case 1: out->ir_version = r.integer(); break;
      case 7:
        if (out->graph) fail("{}: not an ONNX model: it has two graphs", source_.path);
        out->graph = std::make_shared<const GraphDef>(graph(r.message()));
        break;
      case 8: read_opset(r.message(), out->opsets); break;
      case 25: out->functions.push_back(function(r.message())); break;
      default: r.skip();
    }
  if (!out->graph) fail("{}: not an ONNX model: it has no graph", source_.path);
  if (out->opsets.empty()) out->opsets[""] = 1;  // IR version 2 and older
  check_closed(*out->graph, source_.path);
  return out;
}

// The item fields of SequenceProto and OptionalProto, by what the items are.
int item_field(const DeclaredType& element) {
  switch (element.kind) {
    case DeclaredType::Kind::Sparse: return 4;
    case DeclaredType::Kind::Sequence: return 5;
    case DeclaredType::Kind::Map: return 6;
    case DeclaredType::Kind::Optional: return 7;
    default: return 3;
  }
}

Value ModelReader::sequence(WireReader r, const DeclaredType& type) {
  const DeclaredType element = type.element ? *type.element : DeclaredType{};
  const int field = item_field(element);
  std::vector<Value> items;
  while (r.next()) {
    if (r.field() == field) items.push_back(value(r.message(), element));
    else r.skip();
  }
  return Value::sequence(std::move(items), element.elem);
}

Value ModelReader::optional(WireReader r, const DeclaredType& type) {
  const DeclaredType element = type.element ? *type.element : DeclaredType{};
  const int field = item_field(element);
  Value out = Value::optional();
  while (r.next()) {
    if (r.field() == field) out = Value::optional(value(r.message(), element));
    else r.skip();
  }
  return out;
}

Value ModelReader::map(WireReader r) {
  std::vector<int64_t> keys;
  std::vector<std::string> texts;
  Value values;
  while (r.next()) switch (r.field()) {
      case 3: r.append(keys); break;
      case 4: texts.push_back(r.text()); break;
      case 5: {
        // SequenceProto of one tensor, or of one tensor for each key.
        WireReader inner = r.message();
        while (inner.next()) {
          if (inner.field() == 3) values = Value::of(read_tensor(inner.message(), source_).tensor);
          else inner.skip();
        }
        break;
      }
      default: r.skip();
    }
  const int64_t count = texts.empty() ? std::ssize(keys) : std::ssize(texts);
  if (!values.is_tensor() || element_count(values.dims()) != count)
    fail("{}: a map of {} keys and values {}", source_.path, count, values.signature());
  Value key = texts.empty() ? Value::of(HostTensor(Tensor::from<int64_t>({count}, keys)))
                            : Value::of(HostTensor({count}, std::move(texts)));
  Value out = Value::sequence({std::move(key), std::move(values)});
  out.kind = Value::Kind::Map;
  return out;
}

Value ModelReader::value(WireReader r, const DeclaredType& type) {
  const Nested nested(*this);
  switch (type.kind) {
    case DeclaredType::Kind::Sequence: return sequence(r, type);
    case DeclaredType::Kind::Optional: return optional(r, type);
    case DeclaredType::Kind::Map: return map(r);
    case DeclaredType::Kind::Sparse: return Value::of(read_sparse_tensor(r, source_).tensor);
    default: return Value::of(read_tensor(r, source_).tensor);
  }
}

}  // namespace

std::shared_ptr<const ModelDef> parse_model(Bytes bytes, std::shared_ptr<const void> owner,
                                            const std::string& path, const std::string& folder,
                                            const LoadLimits& limits) {
  Source source{path, folder, std::move(owner), limits};
  return ModelReader(source).model(WireReader(bytes, source.path));
}

std::shared_ptr<const ModelDef> read_model(const std::string& path, const LoadLimits& limits) {
  const auto file = MappedFile::open(path);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return parse_model(file->bytes(), file, path, folder.empty() ? "." : folder, limits);
}

Value read_value(const std::string& path, const DeclaredType& type) {
  const auto file = MappedFile::open(path);
  Source source{path, "", file, {}};
  return ModelReader(source).value(WireReader(file->bytes(), source.path), type);
}

}  // namespace lathe::onnx
