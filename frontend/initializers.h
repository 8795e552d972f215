// Initial values of parameters, as Keras defines them, from counter-based random numbers: a tensor
// is a pure function of (initialiser, shape, seed, name), whatever else the model holds.
#pragma once

#include <cstdint>
#include <string_view>

#include "ir/base/tensor.h"

namespace lathe {

struct Initializer {
  enum class Kind : uint8_t {
    Constant,         // a
    RandomUniform,    // in [a, b)
    RandomNormal,     // mean a, standard deviation b
    TruncatedNormal,  // the same, redrawn beyond two standard deviations of the mean
    // Variance a / fan, where fan is the number of inputs, outputs or their mean.
    VarianceScaling,
    Orthogonal,  // orthonormal rows or columns of [prod(shape[:-1]), shape[-1]], times a
    Identity,    // a on the diagonal of a matrix
  };
  enum class Fan : uint8_t { In, Out, Average };
  enum class Distribution : uint8_t { Uniform, Normal, TruncatedNormal };

  Kind kind = Kind::Constant;
  double a = 0, b = 0;
  Fan fan = Fan::Average;
  Distribution distribution = Distribution::Uniform;
};

namespace init {

constexpr Initializer constant(double value) {
  return {.kind = Initializer::Kind::Constant, .a = value};
}
constexpr Initializer zeros() { return constant(0); }
constexpr Initializer ones() { return constant(1); }
constexpr Initializer random_uniform(double low = -0.05, double high = 0.05) {
  return {.kind = Initializer::Kind::RandomUniform, .a = low, .b = high};
}
constexpr Initializer random_normal(double mean = 0, double deviation = 0.05) {
  return {.kind = Initializer::Kind::RandomNormal, .a = mean, .b = deviation};
}
constexpr Initializer truncated_normal(double mean = 0, double deviation = 0.05) {
  return {.kind = Initializer::Kind::TruncatedNormal, .a = mean, .b = deviation};
}
constexpr Initializer variance_scaling(double scale, Initializer::Fan fan,
                                       Initializer::Distribution distribution) {
  return {.kind = Initializer::Kind::VarianceScaling,
          .a = scale,
          .fan = fan,
          .distribution = distribution};
}
constexpr Initializer glorot_uniform() {
  return variance_scaling(1, Initializer::Fan::Average, Initializer::Distribution::Uniform);
}
constexpr Initializer glorot_normal() {
  return variance_scaling(1, Initializer::Fan::Average, Initializer::Distribution::TruncatedNormal);
}
constexpr Initializer he_uniform() {
  return variance_scaling(2, Initializer::Fan::In, Initializer::Distribution::Uniform);
}
constexpr Initializer he_normal() {
  return variance_scaling(2, Initializer::Fan::In, Initializer::Distribution::TruncatedNormal);
}
constexpr Initializer lecun_uniform() {
  return variance_scaling(1, Initializer::Fan::In, Initializer::Distribution::Uniform);
}
constexpr Initializer lecun_normal() {
  return variance_scaling(1, Initializer::Fan::In, Initializer::Distribution::TruncatedNormal);
}
constexpr Initializer orthogonal(double gain = 1) {
  return {.kind = Initializer::Kind::Orthogonal, .a = gain};
}
constexpr Initializer identity(double gain = 1) {
  return {.kind = Initializer::Kind::Identity, .a = gain};
}

}  // namespace init

// Orthogonal needs rank >= 2 and Identity rank 2; else a user error naming `name`.
void check_initializer(const Initializer& initializer, const Dims& dims, std::string_view name);

// An f32 tensor; checked as above. Shapes are read as Keras does: [.., inputs, outputs] with the
// leading axes a receptive field.
Tensor initialize(const Initializer& initializer, const Dims& dims, uint64_t seed,
                  std::string_view name);

}  // namespace lathe
