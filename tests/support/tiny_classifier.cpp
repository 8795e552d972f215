#include "tests/support/tiny_classifier.h"

#include <algorithm>

#include "ir/base/philox.h"

namespace lathe::testing {
namespace {

constexpr int64_t kFeatures = 3;

uint32_t random_word(uint64_t stream, uint64_t index) {
  return philox4x32({static_cast<uint32_t>(index), 0, 0, 0}, {static_cast<uint32_t>(stream), 0})[0];
}

Tensor random_weights(Dims dims, uint64_t stream) {
  Tensor t = Tensor::empty(DType::f32, std::move(dims));
  for (int64_t i = 0; i < t.size(); ++i)
    t.set(i, (random_word(stream, static_cast<uint64_t>(i)) >> 8) * 0x1p-24 - 0.5);
  return t;
}

}  // namespace

Graph tiny_classifier() {
  Graph g("tiny");
  const Expr tokens = input(g, "tokens", {DType::i32, {Dim::symbol("batch"), kTinyLength}});
  const Expr table = input(g, "table", {DType::f32, {kTinyWords, kFeatures}}, InputRole::Parameter);
  const Expr kernel = input(g, "kernel", {DType::f32, {kFeatures, 1}}, InputRole::Parameter);
  const Expr bias = input(g, "bias", {DType::f32, {1}}, InputRole::Parameter);
  const Expr features = reduce_sum(gather(table, tokens, 0), {1});
  g.add_output("probability", sigmoid(matmul(features, kernel) + bias).value);
  return g;
}

train::TensorStore tiny_weights() {
  return {{"table", random_weights({kTinyWords, kFeatures}, 1)},
          {"kernel", random_weights({kFeatures, 1}, 2)},
          {"bias", Tensor::zeros(DType::f32, {1})}};
}

data::Dataset tiny_dataset(int64_t examples, uint64_t seed) {
  data::Dataset out;
  for (int64_t i = 0; i < examples; ++i) {
    std::vector<int32_t> tokens;
    for (int64_t k = 0; k < kTinyLength; ++k)
      tokens.push_back(static_cast<int32_t>(
          2 + random_word(seed, static_cast<uint64_t>(i * kTinyLength + k)) % (kTinyWords - 2)));
    const bool found = std::find(tokens.begin(), tokens.end(), 7) != tokens.end();
    out.add(tokens, found ? 1 : 0);
  }
  return out;
}

}  // namespace lathe::testing
