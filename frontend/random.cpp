#include "frontend/random.h"

namespace lathe {

Expr random_words(const Expr& step, uint32_t key, const Shape& shape) {
  Graph& g = *step.graph;
  const auto word = [&](uint64_t value) {
    return broadcast_to(constant(g, Tensor::scalar<uint64_t>(value)), shape);
  };
  const Expr low_bits = word(0xffffffff), half = word(32), multiplier = word(0xD256D193);
  const Expr element = reshape(iota(g, DType::u64, Shape{shape.volume()}, 0), shape);
  Expr left = bit_and(element, low_bits);
  Expr right = bit_and(broadcast_to(step, shape), low_bits);
  for (int round = 0; round < 10; ++round, key += 0x9E3779B9) {
    const Expr product = left * multiplier;
    left = bit_xor(bit_xor(shift_right(product, half), word(key)), right);
    right = bit_and(product, low_bits);
  }
  return left;
}

Expr uniform_floats(const Expr& words) {
  const Expr eight =
      broadcast_to(constant(*words.graph, Tensor::scalar<uint64_t>(8)), words.shape());
  return cast(shift_right(words, eight), DType::f32) * 0x1p-24;
}

}  // namespace lathe
