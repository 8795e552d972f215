// Lathe: a graph of one layer as ONNX models have it after transposes have sunk, channels last.
#include "backends/compile.h"
#include "bench/compare/conv.h"
#include "ir/expr.h"

namespace lathe::compare {
namespace {

Expr literal(Graph& graph, const float* values, const Dims& dims) {
  Tensor t = Tensor::empty(DType::f32, dims);
  std::copy_n(values, t.size(), t.mutable_data<float>());
  return constant(graph, std::move(t));
}

WindowAttrs window_attrs(const ConvLayer& l) {
  WindowAttrs a;
  a.kernel = {l.window, l.window};
  a.stride = {l.stride, l.stride};
  a.dilation = {1, 1};
  a.low = a.high = {l.padding(), l.padding()};
  return a;
}

// Of patches [1,C,H,W,h,w]: [1,H,W,F].
Expr dense(Graph& graph, const Expr& image, const Conv& conv) {
  const ConvLayer& l = conv.layer;
  const Expr weights = literal(graph, conv.weights, {l.filters, l.channels, l.window, l.window});
  return dot_general(windows(image, window_attrs(l)), weights,
                     {.lhs_contract = {1, 4, 5}, .rhs_contract = {1, 2, 3}, .dtype = DType::f32});
}

// A product of windows and weights for each channel: [C,1,H,W], and then [1,H,W,C].
Expr depthwise(Graph& graph, const Expr& image, const Conv& conv) {
  const ConvLayer& l = conv.layer;
  const Expr weights = literal(graph, conv.weights, {l.channels, l.window, l.window});
  const Expr y = dot_general(windows(image, window_attrs(l)), weights,
                             {.lhs_batch = {1},
                              .rhs_batch = {0},
                              .lhs_contract = {4, 5},
                              .rhs_contract = {1, 2},
                              .dtype = DType::f32});
  return transpose(y, {1, 2, 3, 0});
}

}  // namespace

PreparedConv prepare_conv(const Conv& conv, int threads) {
  const ConvLayer& l = conv.layer;
  Graph graph("convolution");
  const Shape dims =
      l.reads_image() ? Shape{1, l.channels, l.size, l.size} : Shape{1, l.size, l.size, l.channels};
  const Expr x = input(graph, "x", {DType::f32, dims});
  const Expr image = l.reads_image() ? x : transpose(x, {0, 3, 1, 2});
  const Expr product = l.depthwise ? depthwise(graph, image, conv) : dense(graph, image, conv);
  const Expr y = product + literal(graph, conv.bias, {l.filters});
  graph.add_output("y", (l.relu ? max(y, 0) : y).value);
  CompileOptions options = compile_options();
  options.threads = threads;
  options.wait_compile = true;
  const std::shared_ptr<Executable> executable = compile(graph, options);
  const auto call = [executable, conv] {
    void* const in[] = {const_cast<float*>(conv.x)};
    void* const out[] = {conv.y};
    executable->run(in, out);
  };
  return {call, [] {}};
}

}  // namespace lathe::compare
