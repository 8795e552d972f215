// Writes ONNX messages, good and bad, field by field.
#pragma once

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "frontend/onnx/reader.h"

namespace lathe::onnx {

// A protobuf message under construction.
class Message {
 public:
  Message& number(int field, int64_t value) {
    varint(static_cast<uint64_t>(field) << 3);
    varint(static_cast<uint64_t>(value));
    return *this;
  }
  Message& text(int field, std::string_view bytes) {
    varint(static_cast<uint64_t>(field) << 3 | 2);
    varint(bytes.size());
    data_.append(bytes);
    return *this;
  }
  Message& message(int field, const Message& m) { return text(field, m.data_); }
  Message& f32(int field, float value) {
    varint(static_cast<uint64_t>(field) << 3 | 5);
    data_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  const std::string& data() const { return data_; }

 private:
  void varint(uint64_t v) {
    for (; v >= 0x80; v >>= 7) data_.push_back(static_cast<char>((v & 0x7f) | 0x80));
    data_.push_back(static_cast<char>(v));
  }
  std::string data_;
};

template <class T>
Message tensor_message(std::string_view name, ElemType type, const Dims& dims,
                       const std::vector<T>& values) {
  Message m;
  for (const int64_t d : dims) m.number(1, d);
  m.number(2, static_cast<int64_t>(type)).text(8, name);
  return m.text(9, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)});
}

inline Message int_attribute(std::string_view name, int64_t value) {
  return Message().text(1, name).number(3, value).number(20, 2);
}
inline Message float_attribute(std::string_view name, float value) {
  return Message().text(1, name).f32(2, value).number(20, 1);
}
inline Message ints_attribute(std::string_view name, const Dims& values) {
  Message m;
  m.text(1, name).number(20, 7);
  for (const int64_t v : values) m.number(8, v);
  return m;
}
inline Message text_attribute(std::string_view name, std::string_view value) {
  return Message().text(1, name).text(4, value).number(20, 3);
}
inline Message graph_attribute(std::string_view name, const Message& graph) {
  return Message().text(1, name).message(6, graph).number(20, 5);
}
inline Message tensor_attribute(std::string_view name, const Message& tensor) {
  return Message().text(1, name).message(5, tensor).number(20, 4);
}

inline Message node_message(std::string_view op, const std::vector<std::string>& inputs,
                            const std::vector<std::string>& outputs,
                            const std::vector<Message>& attributes = {},
                            std::string_view domain = "") {
  Message m;
  for (const std::string& s : inputs) m.text(1, s);
  for (const std::string& s : outputs) m.text(2, s);
  m.text(3, "the_" + std::string(op)).text(4, op).text(7, domain);
  for (const Message& a : attributes) m.message(5, a);
  return m;
}

// A dim of -1 is free, without a name.
inline Message value_message(std::string_view name, ElemType type, const Dims& dims) {
  Message shape;
  for (const int64_t d : dims) shape.message(1, d < 0 ? Message() : Message().number(1, d));
  const Message tensor = Message().number(1, static_cast<int64_t>(type)).message(2, shape);
  return Message().text(1, name).message(2, Message().message(1, tensor));
}

struct GraphBuilder {
  Message m;
  explicit GraphBuilder(std::string_view name = "g") { m.text(2, name); }
  GraphBuilder& node(const Message& n) { return m.message(1, n), *this; }
  GraphBuilder& input(std::string_view name, ElemType type, const Dims& dims) {
    return m.message(11, value_message(name, type, dims)), *this;
  }
  GraphBuilder& output(std::string_view name, ElemType type = ElemType::Float,
                       const Dims& dims = {}) {
    return m.message(12, value_message(name, type, dims)), *this;
  }
  GraphBuilder& initializer(const Message& t) { return m.message(5, t), *this; }
};

inline Message opset_message(int64_t version, std::string_view domain = "") {
  return Message().text(1, domain).number(2, version);
}

inline Message model_message(const Message& graph, int64_t opset = 21,
                             const std::vector<Message>& functions = {}) {
  Message m;
  m.number(1, 10).message(7, graph).message(8, opset_message(opset));
  m.message(8, opset_message(1, "local"));
  for (const Message& f : functions) m.message(25, f);
  return m;
}

inline std::shared_ptr<const ModelDef> parse(const std::string& data,
                                             const std::string& folder = "") {
  const auto bytes = std::make_shared<std::string>(data);
  return parse_model(std::as_bytes(std::span(*bytes)), bytes, "test.onnx", folder);
}
inline std::shared_ptr<const ModelDef> parse(const Message& model) { return parse(model.data()); }

}  // namespace lathe::onnx
