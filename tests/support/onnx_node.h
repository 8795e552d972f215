// Runs small models by the xsimd kernels: values, and models of one node.
#pragma once

#include <doctest/doctest.h>

#include "session/session.h"
#include "tests/support/onnx_builder.h"

namespace lathe::onnx {

inline Value floats(const Dims& dims, const std::vector<float>& v) {
  return Value::of(HostTensor(Tensor::from<float>(dims, v)));
}
inline Value longs(const Dims& dims, const std::vector<int64_t>& v) {
  return Value::of(HostTensor(Tensor::from<int64_t>(dims, v)));
}
inline Value texts(const Dims& dims, const std::vector<std::string>& v) {
  return Value::of(HostTensor(dims, v));
}

inline SessionOptions simd() {
  SessionOptions o;
  o.compile = compile_options();
  o.compile.backend = Backend::Simd;
  o.compile.threads = 1;
  return o;
}

inline Message floats_attribute(std::string_view name, const std::vector<float>& values) {
  Message m;
  m.text(1, name).number(20, 6);
  for (const float v : values) m.f32(7, v);
  return m;
}
inline Message texts_attribute(std::string_view name, const std::vector<std::string>& values) {
  Message m;
  m.text(1, name).number(20, 8);
  for (const std::string& v : values) m.text(9, v);
  return m;
}

// The outputs of the node for these inputs, by the xsimd kernels. Inputs are given at run time.
inline std::vector<Value> run_node(std::string_view op, const std::vector<Value>& inputs,
                                   const std::vector<Message>& attributes = {}, int outputs = 1,
                                   int64_t opset = 22, std::string_view domain = "") {
  GraphBuilder g;
  std::vector<std::pair<std::string, Value>> given;
  std::vector<std::string> names, results;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool absent = inputs[i].kind == Value::Kind::Absent;
    names.push_back(absent ? "" : "in" + std::to_string(i));
    if (absent) continue;
    g.input(names.back(), inputs[i].elem, inputs[i].dims());
    given.emplace_back(names.back(), inputs[i]);
  }
  for (int k = 0; k < outputs; ++k) {
    results.push_back("out" + std::to_string(k));
    g.output(results.back());
  }
  g.node(node_message(op, names, results, attributes, domain));
  Message model = model_message(g.m, opset);
  if (!domain.empty()) model.message(8, opset_message(5, domain));
  return Session(parse(model), simd()).run(given);
}

inline std::vector<double> numbers(const Value& v) {
  REQUIRE(v.kind == Value::Kind::Known);
  std::vector<double> out;
  for (int64_t i = 0; i < v.known.numbers.size(); ++i) out.push_back(v.known.numbers.at(i));
  return out;
}

}  // namespace lathe::onnx
