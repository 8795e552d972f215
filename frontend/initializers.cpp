#include "frontend/initializers.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "ir/base/hash.h"
#include "ir/base/philox.h"
#include "runtime/cpu.h"
#include "runtime/thread_pool.h"

namespace lathe {
namespace {

// The stream of random numbers that belongs to one parameter.
class Stream {
 public:
  Stream(uint64_t seed, std::string_view name) {
    Hasher h;
    h.add(seed);
    h.add(name);
    key_ = {static_cast<uint32_t>(h.value()), static_cast<uint32_t>(h.value() >> 32)};
  }

  // In (0, 1), 53 bits.
  double uniform() {
    if (used_ == 4) refill();
    const uint64_t high = words_[used_], low = words_[used_ + 1];
    used_ += 2;
    return (static_cast<double>((high << 32 | low) >> 11) + 0.5) * 0x1p-53;
  }

  // Box and Muller; one of each pair is used, so that a draw always takes two uniforms.
  double normal() {
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(2 * std::numbers::pi * uniform());
  }

  double truncated_normal() {
    double x = normal();
    while (std::abs(x) > 2) x = normal();
    return x;
  }

 private:
  void refill() {
    words_ = philox4x32(
        {static_cast<uint32_t>(counter_), static_cast<uint32_t>(counter_ >> 32), 0, 0}, key_);
    ++counter_;
    used_ = 0;
  }

  PhiloxKey key_{};
  PhiloxCounter words_{};
  uint64_t counter_ = 0;
  size_t used_ = 4;
};

template <class F>
Tensor fill(const Dims& dims, F&& next) {
  Tensor t = Tensor::empty(DType::f32, dims);
  float* out = t.mutable_data<float>();
  for (int64_t i = 0; i < t.size(); ++i) out[i] = static_cast<float>(next());
  return t;
}

struct Fans {
  double in = 1, out = 1;
};

Fans fans(const Dims& dims) {
  if (dims.empty()) return {};
  const auto n = dims.size();
  if (n == 1) return {static_cast<double>(dims[0]), static_cast<double>(dims[0])};
  double receptive = 1;
  for (size_t i = 0; i + 2 < n; ++i) receptive *= static_cast<double>(dims[i]);
  return {receptive * static_cast<double>(dims[n - 2]),
          receptive * static_cast<double>(dims[n - 1])};
}

Tensor variance_scaling(const Initializer& k, const Dims& dims, Stream& random) {
  const Fans f = fans(dims);
  const double fan = k.fan == Initializer::Fan::In    ? f.in
                     : k.fan == Initializer::Fan::Out ? f.out
                                                      : (f.in + f.out) / 2;
  const double variance = k.a / std::max(1.0, fan);
  switch (k.distribution) {
    case Initializer::Distribution::Uniform: {
      const double limit = std::sqrt(3 * variance);
      return fill(dims, [&] { return limit * (2 * random.uniform() - 1); });
    }
    case Initializer::Distribution::Normal:
      return fill(dims, [&] { return std::sqrt(variance) * random.normal(); });
    case Initializer::Distribution::TruncatedNormal: {
      // The standard deviation of a standard normal cut at two standard deviations.
      constexpr double kTruncatedDeviation = 0.87962566103423978;
      const double deviation = std::sqrt(variance) / kTruncatedDeviation;
      return fill(dims, [&] { return deviation * random.truncated_normal(); });
    }
  }
  __builtin_unreachable();
}

// Subtracts from v its projections on the `count` orthonormal vectors of v's length in `basis`,
// four at a time. Sums go in lanes, so that they vectorize.
void project(double* v, const double* basis, size_t count, size_t size) {
  constexpr size_t kVectors = 4, kLanes = 4;
  const std::vector<double> nothing(count % kVectors == 0 ? 0 : size);
  for (size_t j = 0; j < count; j += kVectors) {
    const double* u[kVectors];
    for (size_t i = 0; i < kVectors; ++i)
      u[i] = j + i < count ? basis + (j + i) * size : nothing.data();
    double lanes[kVectors][kLanes] = {}, dots[kVectors] = {};
    const size_t whole = size - size % kLanes;
    for (size_t k = 0; k < whole; k += kLanes)
      for (size_t i = 0; i < kVectors; ++i)
        for (size_t l = 0; l < kLanes; ++l) lanes[i][l] += u[i][k + l] * v[k + l];
    for (size_t i = 0; i < kVectors; ++i) {
      for (size_t k = whole; k < size; ++k) lanes[i][k - whole] += u[i][k] * v[k];
      for (const double lane : lanes[i]) dots[i] += lane;
    }
    for (size_t k = 0; k < size; ++k)
      v[k] -= (dots[0] * u[0][k] + dots[1] * u[1][k]) + (dots[2] * u[2][k] + dots[3] * u[3][k]);
  }
}

// Projects v on the vectors before it, `begin` to i, and makes its length 1.
void orthonormalize_one(double* vectors, size_t begin, size_t i, size_t size) {
  double* v = vectors + i * size;
  for (int round = 0; round < 2; ++round)
    for (size_t j = begin; j < i; ++j) {
      const double* u = vectors + j * size;
      double dot = 0;
      for (size_t k = 0; k < size; ++k) dot += u[k] * v[k];
      for (size_t k = 0; k < size; ++k) v[k] -= dot * u[k];
    }
  double norm = 0;
  for (size_t k = 0; k < size; ++k) norm += v[k] * v[k];
  norm = std::sqrt(norm);
  for (size_t k = 0; k < size; ++k) v[k] /= norm;
}

// Makes the `count` vectors of length `size`, one after another, orthonormal: Gram and Schmidt, in
// blocks, so that the most of the work is independent of its neighbours. Projecting twice keeps
// them orthogonal to rounding ("twice is enough", Kahan and Parlett); the triangular factor's
// diagonal comes out positive, as Keras makes it.
void orthonormalize(std::vector<double>& storage, size_t count, size_t size) {
  constexpr size_t kBlock = 128;
  double* vectors = storage.data();
  ThreadPool pool(count > kBlock ? thread_count() : 1);
  const auto project_all = [&](size_t first, size_t last, size_t basis, size_t basis_end) {
    pool.parallel_for(static_cast<int64_t>(last - first), [&](int64_t i, int) {
      project(vectors + (first + static_cast<size_t>(i)) * size, vectors + basis * size,
              basis_end - basis, size);
    });
  };
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t end = std::min(count, begin + kBlock);
    if (begin > 0) project_all(begin, end, 0, begin);
    for (size_t i = begin; i < end; ++i) orthonormalize_one(vectors, begin, i, size);
    if (end < count) project_all(end, count, begin, end);
  }
}

Tensor orthogonal(double gain, const Dims& dims, Stream& random) {
  const auto columns = static_cast<size_t>(dims.back());
  Tensor t = Tensor::empty(DType::f32, dims);
  if (t.size() == 0) return t;
  const size_t rows = static_cast<size_t>(t.size()) / columns;
  const size_t count = std::min(rows, columns), size = std::max(rows, columns);
  std::vector<double> vectors(count * size);
  for (double& x : vectors) x = random.normal();
  orthonormalize(vectors, count, size);
  float* out = t.mutable_data<float>();
  for (size_t r = 0; r < rows; ++r)
    for (size_t c = 0; c < columns; ++c)
      out[r * columns + c] = static_cast<float>(
          gain * (rows < columns ? vectors[r * size + c] : vectors[c * size + r]));
  return t;
}

Tensor identity(double gain, const Dims& dims) {
  Tensor t = Tensor::zeros(DType::f32, dims);
  for (int64_t i = 0; i < std::min(dims[0], dims[1]); ++i) t.set(i * dims[1] + i, gain);
  return t;
}

}  // namespace

void check_initializer(const Initializer& k, const Dims& dims, std::string_view name) {
  if (k.kind == Initializer::Kind::Orthogonal && dims.size() < 2)
    fail("parameter '{}' of shape [{}]: the orthogonal initialiser needs at least 2 axes", name,
         Shape(dims).text());
  if (k.kind == Initializer::Kind::Identity && dims.size() != 2)
    fail("parameter '{}' of shape [{}]: the identity initialiser needs a matrix", name,
         Shape(dims).text());
}

Tensor initialize(const Initializer& k, const Dims& dims, uint64_t seed, std::string_view name) {
  check_initializer(k, dims, name);
  Stream random(seed, name);
  switch (k.kind) {
    case Initializer::Kind::Constant: return fill(dims, [&] { return k.a; });
    case Initializer::Kind::RandomUniform:
      return fill(dims, [&] { return k.a + (k.b - k.a) * random.uniform(); });
    case Initializer::Kind::RandomNormal:
      return fill(dims, [&] { return k.a + k.b * random.normal(); });
    case Initializer::Kind::TruncatedNormal:
      return fill(dims, [&] { return k.a + k.b * random.truncated_normal(); });
    case Initializer::Kind::VarianceScaling: return variance_scaling(k, dims, random);
    case Initializer::Kind::Orthogonal: return orthogonal(k.a, dims, random);
    case Initializer::Kind::Identity: return identity(k.a, dims);
  }
  __builtin_unreachable();
}

}  // namespace lathe
