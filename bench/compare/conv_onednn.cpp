// oneDNN's convolution with bias and ReLU, activations and weights in the formats that it prefers,
// as between the layers of a net. Threads are OpenMP's: OMP_NUM_THREADS.
#include <dnnl.hpp>

#include "bench/compare/conv.h"

namespace lathe::compare {
namespace {

using dnnl::memory;
using Format = memory::format_tag;
using Implementation = dnnl::convolution_forward::primitive_desc;

memory::desc array(const memory::dims& dims, Format format) {
  return {dims, memory::data_type::f32, format};
}

memory::dims weight_dims(const ConvLayer& l) {
  if (l.depthwise) return {l.channels, 1, 1, l.window, l.window};
  return {l.filters, l.channels, l.window, l.window};
}

memory::desc image(const ConvLayer& l, Format format) {
  return array({1, l.channels, l.size, l.size}, format);
}

memory::desc result(const ConvLayer& l, Format format) {
  return array({1, l.filters, l.result_size(), l.result_size()}, format);
}

Implementation find_implementation(const ConvLayer& l, const dnnl::engine& engine) {
  const memory::desc x = image(l, l.reads_image() ? Format::nchw : Format::any),
                     weights = array(weight_dims(l), Format::any),
                     bias = array({l.filters}, Format::a), y = result(l, Format::any);
  const memory::dims strides = {l.stride, l.stride}, padding = {l.padding(), l.padding()};
  constexpr auto kKind = dnnl::prop_kind::forward_inference;
  constexpr auto kAlgorithm = dnnl::algorithm::convolution_direct;
  dnnl::post_ops then;
  dnnl::primitive_attr attributes;
#if DNNL_VERSION_MAJOR >= 3
  if (l.relu) then.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
  attributes.set_post_ops(then);
  return {engine, kKind, kAlgorithm, x, weights, bias, y, strides, padding, padding, attributes};
#else
  if (l.relu) then.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
  attributes.set_post_ops(then);
  return {{kKind, kAlgorithm, x, weights, bias, y, strides, padding, padding}, attributes, engine};
#endif
}

memory in_format(memory given, const memory::desc& format, dnnl::stream& stream) {
  memory out(format, given.get_engine());
  dnnl::reorder(given, out).execute(stream, given, out);
  stream.wait();
  return out;
}

memory wrap(const memory::desc& desc, const dnnl::engine& engine, const float* data) {
  return {desc, engine, const_cast<float*>(data)};
}

}  // namespace

PreparedConv prepare_conv(const Conv& conv, int) {
  const ConvLayer& l = conv.layer;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  const Implementation implementation = find_implementation(l, engine);
  const memory x =
      in_format(wrap(image(l, l.reads_image() ? Format::nchw : Format::nhwc), engine, conv.x),
                implementation.src_desc(), stream);
  const memory weights = in_format(
      wrap(array(weight_dims(l), l.depthwise ? Format::goihw : Format::oihw), engine, conv.weights),
      implementation.weights_desc(), stream);
  const memory bias = wrap(array({l.filters}, Format::a), engine, conv.bias),
               y(implementation.dst_desc(), engine);
  const auto call = [stream, layer = dnnl::convolution_forward(implementation),
                     arguments = std::unordered_map<int, memory>{{DNNL_ARG_SRC, x},
                                                                 {DNNL_ARG_WEIGHTS, weights},
                                                                 {DNNL_ARG_BIAS, bias},
                                                                 {DNNL_ARG_DST, y}}]() mutable {
    layer.execute(stream, arguments);
    stream.wait();
  };
  const auto fetch = [stream, from = memory(y),
                      to = wrap(result(l, Format::nhwc), engine, conv.y)]() mutable {
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
  };
  return {call, fetch};
}

}  // namespace lathe::compare
