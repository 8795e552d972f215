#include "ir/base/tensor.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <type_traits>

#include "ir/base/memory.h"

namespace lathe {
namespace {

template <class T>
double load_double(const void* data, int64_t i) {
  const T v = static_cast<const T*>(data)[i];
  if constexpr (std::is_same_v<T, Half>) return f16_to_float(v.bits);
  else if constexpr (std::is_same_v<T, BFloat16>) return bf16_to_float(v.bits);
  else return static_cast<double>(v);
}

// double -> float16 and bfloat16 must round once: going through float would round twice, so the
// float is first nudged to odd (Boldo & Melquiond, "When double rounding is odd", 2005).
float round_to_odd(double value) {
  const auto nearest = static_cast<float>(value);
  if (std::isnan(value) || std::isinf(nearest) || static_cast<double>(nearest) == value)
    return nearest;
  auto bits = std::bit_cast<uint32_t>(nearest);
  const bool too_far = std::abs(static_cast<double>(nearest)) > std::abs(value);
  if (too_far) --bits;
  return std::bit_cast<float>(bits | 1u);
}

template <class T>
T from_double(double value) {
  if constexpr (std::is_same_v<T, Half>) return Half{float_to_f16(round_to_odd(value))};
  else if constexpr (std::is_same_v<T, BFloat16>)
    return BFloat16{float_to_bf16(round_to_odd(value))};
  else if constexpr (std::is_same_v<T, bool>) return value != 0;
  else if constexpr (std::is_floating_point_v<T>) return static_cast<T>(value);
  else {
    if (std::isnan(value)) return 0;
    constexpr auto low = static_cast<double>(std::numeric_limits<T>::min());
    // 2^63 and 2^64 are not representable below; comparing with >= on the next power is exact.
    const double high = std::ldexp(1.0, std::numeric_limits<T>::digits);
    if (value <= low) return std::numeric_limits<T>::min();
    if (value >= high) return std::numeric_limits<T>::max();
    return static_cast<T>(value);
  }
}

}  // namespace

struct Tensor::Misplaced {
  std::once_flag once;
  Tensor copy;
};

const void* Tensor::aligned() const {
  std::call_once(misplaced_->once, [&] { misplaced_->copy = clone(); });
  return misplaced_->copy.data_;
}

Tensor Tensor::empty(DType dtype, Dims dims) {
  Tensor t;
  t.dtype_ = dtype;
  t.size_ = lathe::element_count(dims);
  t.dims_ = std::move(dims);
  auto memory = allocate_memory(t.bytes());
  if (!memory) fail("out of memory: {} takes {} bytes", t.type_text(), t.bytes());
  t.data_ = memory.get();
  t.owner_ = std::move(memory);
  t.writable_ = true;
  return t;
}

Tensor Tensor::zeros(DType dtype, Dims dims) {
  Tensor t = empty(dtype, std::move(dims));
  std::memset(t.mutable_raw(), 0, static_cast<size_t>(t.bytes()));
  return t;
}

Tensor Tensor::view(DType dtype, Dims dims, const void* data, std::shared_ptr<const void> owner) {
  Tensor t;
  t.dtype_ = dtype;
  t.size_ = lathe::element_count(dims);
  t.dims_ = std::move(dims);
  t.data_ = data;
  t.owner_ = std::move(owner);
  if (reinterpret_cast<uintptr_t>(data) % static_cast<uintptr_t>(byte_size(dtype)) != 0)
    t.misplaced_ = std::make_shared<Misplaced>();
  return t;
}

Tensor Tensor::scalar_of(DType dtype, double value) {
  Tensor t = empty(dtype, {});
  t.set(0, value);
  return t;
}

void* Tensor::mutable_raw() {
  LATHE_ASSERT(writable_, "tensor {} is a read-only view", type_text());
  return const_cast<void*>(data_);
}

double Tensor::at(int64_t i) const {
  return visit_dtype(dtype_, [&]<class T>() { return load_double<T>(raw(), i); });
}

void Tensor::set(int64_t i, double value) {
  void* out = mutable_raw();
  visit_dtype(dtype_, [&]<class T>() { static_cast<T*>(out)[i] = from_double<T>(value); });
}

int64_t Tensor::int_at(int64_t i) const {
  LATHE_ASSERT(!is_float(dtype_));
  return visit_dtype(dtype_, [&]<class T>() -> int64_t {
    if constexpr (std::is_integral_v<T>)
      return static_cast<int64_t>(static_cast<const T*>(raw())[i]);
    else return 0;
  });
}

void Tensor::set_int(int64_t i, int64_t value) {
  LATHE_ASSERT(!is_float(dtype_));
  void* out = mutable_raw();
  visit_dtype(dtype_, [&]<class T>() {
    if constexpr (std::is_same_v<T, bool>) static_cast<T*>(out)[i] = value != 0;
    else if constexpr (std::is_integral_v<T>) static_cast<T*>(out)[i] = static_cast<T>(value);
  });
}

Tensor Tensor::reshaped(Dims dims) const {
  LATHE_ASSERT(lathe::element_count(dims) == size_, "reshape of {}", type_text());
  Tensor t = *this;
  t.dims_ = std::move(dims);
  return t;
}

Tensor Tensor::clone() const {
  Tensor t = empty(dtype_, dims_);
  if (bytes() > 0) std::memcpy(t.mutable_raw(), data_, static_cast<size_t>(bytes()));
  return t;
}

std::string Tensor::type_text() const {
  return fmt::format("{}[{}]", name(dtype_), Shape(dims_).text());
}

bool is_splat(const Tensor& t) {
  if (t.size() == 0 || t.size() > kSmallTensor) return false;
  const std::byte* bytes = t.stored();
  const auto width = static_cast<size_t>(byte_size(t.dtype()));
  // Every element equals its left neighbour.
  return std::memcmp(bytes, bytes + width, static_cast<size_t>(t.bytes()) - width) == 0;
}

bool identical(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.dims() == b.dims() &&
         (a.bytes() == 0 ||
          std::memcmp(a.stored(), b.stored(), static_cast<size_t>(a.bytes())) == 0);
}

}  // namespace lathe
